"""What stands in spec files everywhere: names, and quantities that people write with a unit."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"

Name = Annotated[str, Meta(pattern=NAME_PATTERN, description="a lower-case DNS label")]
Bytes = Annotated[int, Meta(ge=0, extra={"unit": "bytes"}, description='a size: "64MiB", "1GiB"')]
Seconds = Annotated[
    float, Meta(ge=0, extra={"unit": "seconds"}, description='a time: "500ms", "30s", "5m"')
]
Cpus = Annotated[
    float, Meta(gt=0, extra={"unit": "cpus"}, description='cpus: 0.5 or "500m" is half of one')
]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]
AbsolutePath = Annotated[str, Meta(pattern=r"^/", description="an absolute path")]
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ServerName = Annotated[str, Meta(pattern=rf"^{_LABEL}(\.{_LABEL})*$", description="a host's name")]

LABEL_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
Label = Annotated[
    str, Meta(pattern=LABEL_PATTERN, description="a label of nodes, or a value of one")
]

MIB = 1 << 20


class Spec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything that can stand in a spec file."""
