"""nodeorch cluster leave: this host goes, and its files are set aside."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from nodeorch.cluster import folder
from nodeorch.cluster.place import Place


def forget(here: Place, now: float | None = None) -> Path:
    """This host is a member no more; where its files are now. Raises OSError."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    aside = here.files.with_name(f"{here.files.name}.left-{stamp}")
    with contextlib.suppress(FileNotFoundError):
        here.drop_in.unlink()
    here.files.rename(aside)
    return aside


def last_signer(here: Place) -> bool:
    """Whether the key of the CA leaves with this host, as far as is known."""
    return (here.files / folder.CA_KEY).exists()
