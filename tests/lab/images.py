"""Images made on the spot: no registry is needed."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

BUSYBOX = "/bin/busybox"
PASSWD = "root:x:0:0:root:/:/bin/sh\napp:x:1000:1000:app:/:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\n"
DIRS = ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "var")


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def busybox_tar(files: Mapping[str, str] | None = None) -> bytes:
    """A root file system: busybox with its applets, a user app (1000), ``files`` (mode 0755)."""
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in DIRS:
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(info)
        _add(tar, "bin/busybox", Path(BUSYBOX).read_bytes(), 0o755)
        for applet in applets.stdout.split():
            if applet == "busybox":
                continue
            info = tarfile.TarInfo(f"bin/{applet}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        _add(tar, "etc/passwd", PASSWD.encode(), 0o644)
        _add(tar, "etc/group", GROUP.encode(), 0o644)
        for name, text in (files or {}).items():
            _add(tar, name.lstrip("/"), text.encode(), 0o755)
    return out.getvalue()
