"""Words with a fixed meaning: file names, workload names, capabilities, signals, ulimits."""

from __future__ import annotations

import re

from nodeorch.model.quantities import LABEL_PATTERN, NAME_PATTERN

_NAME = re.compile(NAME_PATTERN)
_LABEL = re.compile(LABEL_PATTERN)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def is_name(text: str) -> bool:
    """Whether it is a workload's name. Asked at every boundary (files, API, database)."""
    return _NAME.fullmatch(text) is not None


def is_label(text: str) -> bool:
    """Whether it can name a label of nodes."""
    return _LABEL.fullmatch(text) is not None


def is_env_name(text: str) -> bool:
    """Whether it can name a variable. Dots and dashes are used by real images."""
    return _ENV_NAME.fullmatch(text) is not None


def is_spec_name(name: str) -> bool:
    """Whether a file of this name in the workloads directory is a spec. Hidden files and what
    editors and package managers leave behind (``x~``, ``.x.swp``, ``x.dpkg-new``, ``x.rpmnew``)
    are not."""
    return name.endswith(".toml") and not name.startswith((".", "#"))


_CAPABILITIES = """
AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN
MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID
SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE
SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM
"""
CAPABILITIES = frozenset(_CAPABILITIES.split())
"""capabilities(7), without the prefix CAP_."""

_SIGNALS = """
ABRT ALRM BUS CHLD CONT FPE HUP ILL INT IO KILL PIPE PROF PWR QUIT SEGV STKFLT STOP SYS TERM
TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX
"""
SIGNALS = frozenset(_SIGNALS.split())
"""signal(7), without the prefix SIG; RTMIN+1 to RTMIN+30 besides."""

_ULIMITS = """
core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
"""
ULIMITS = frozenset(_ULIMITS.split())


def is_signal(name: str) -> bool:
    if match := re.fullmatch(r"RTMIN\+([0-9]{1,2})", name):
        return 1 <= int(match[1]) <= 30
    return name in SIGNALS
