"""Files inside a fake container: a tar for each path."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import AsyncIterator

from nodeorch.ports import EngineError, PathStat

PIECE = 10_000


class FakeFiles:
    def __init__(self) -> None:
        self.directories = {"/", "/tmp"}
        self.texts: dict[str, bytes] = {}
        self.archives: dict[str, bytes] = {}
        """Path → a tar that is answered as it is, hostile ones too."""

    def stat(self, path: str) -> PathStat | None:
        path = posixpath.normpath(path)
        name = posixpath.basename(path) or "/"
        if path in self.texts:
            return PathStat(name=name, size=len(self.texts[path]), directory=False)
        if path in self.directories or path in self.archives:
            return PathStat(name=name, size=4096, directory=True)
        return None

    async def read(self, path: str) -> AsyncIterator[bytes]:
        path = posixpath.normpath(path)
        if path not in self.archives and path not in self.texts:
            raise EngineError("not_found", f"{path}: no such file or directory")
        data = self.archives.get(path) or self._tar(path)
        for at in range(0, len(data), PIECE):
            yield data[at : at + PIECE]

    def _tar(self, path: str) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            info = tarfile.TarInfo(posixpath.basename(path))
            info.size = len(self.texts[path])
            tar.addfile(info, io.BytesIO(self.texts[path]))
        return out.getvalue()

    async def write(self, path: str, data: AsyncIterator[bytes]) -> None:
        if path not in self.directories:
            raise EngineError("not_found", f"{path}: no such directory")
        whole = b"".join([piece async for piece in data])
        try:
            with tarfile.open(fileobj=io.BytesIO(whole), mode="r:") as tar:
                for member in tar:
                    name = posixpath.join(path, member.name)
                    if member.isdir():
                        self.directories.add(name)
                    elif (file := tar.extractfile(member)) is not None:
                        self.texts[name] = file.read()
        except tarfile.TarError as error:
            raise EngineError("refused", str(error)) from None
