"""Which resident runner a command may use: one of the same home, interpreter, packages, settings and surroundings.

It stands on little of the standard library, since every command pays for its import.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

FOLDER = "resident"
SWITCH = "STEPWELL_RESIDENT"
_READ_AT_IMPORT = ("PREFECT_", "STEPWELL_", "PYTHON", "LC_", "LD_", "MALLOC_", "GLIBC_")
_ALSO_READ = ("LANG", "LANGUAGE", "HOME", "DO_NOT_TRACK", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", "AZUREML_RUN_ID")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user")
_MOST_FILES = 200
"""How many files of a caller are passed on; a message takes 253."""

_DIGITS = 24
_SETTINGS_OF_FOLDER = (".env", "prefect.toml")


def folder() -> str:
    """Return the folder of this home's runners, which may not be there."""
    named = os.environ.get("STEPWELL_HOME") or "~/.stepwell"
    return os.path.join(os.path.abspath(os.path.expanduser(named)), FOLDER)


def opened_folder() -> int:
    """Return the open folder of this home's runners; raise OSError if there is none, or one that others may use."""
    opened = os.open(folder(), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = os.fstat(opened)
    if found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        return opened
    os.close(opened)
    raise PermissionError("the folder of runners is open to others")


def is_held(lock: int) -> bool:
    """Return whether a runner has the lock of the open file; others may look at the same time."""
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def reason_against() -> str:
    """Return why no resident runner may run a command here, in words; '' if one may."""
    if os.environ.get(SWITCH, "1") == "0":
        return f"{SWITCH} is 0"
    if not sys.platform.startswith("linux"):
        return "this system has no resident runners"
    if os.environ.get("AZUREML_RUN_ID") and os.environ.get("STEPWELL_CONTROL"):
        return "a step has a Stepwell of its own"
    if sys.orig_argv[1:2] and sys.orig_argv[1].startswith("-") and sys.orig_argv[1][:2] not in ("-m", "-c"):
        return "Python was started with options of its own"
    if len(other_files()) > _MOST_FILES:
        return "the caller has handed down too many open files"
    return "Prefect has settings in this folder" if _changes_settings() else ""


def other_files() -> list[int]:
    """Return the open files that what this process starts has, too, beside the standard streams."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the folder itself
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return sorted(found)


def name() -> str:
    """Return the name of the runner that is as this process would be; another one for whatever tells them apart."""
    try:
        from _blake2 import blake2b  # `hashlib` loads OpenSSL first, which takes longer than all else here
    except ImportError:
        from hashlib import blake2b
    read = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith(_READ_AT_IMPORT) or name in _ALSO_READ) and name != SWITCH
    }
    facts = [
        sys.executable,
        sys.version,
        sorted(read.items()),
        sorted(_stamp(path) for path in sys.path[1:] if path),
        _stamp(os.path.join(os.environ.get("PREFECT_HOME") or os.path.expanduser("~/.prefect"), "profiles.toml")),
        [_link(f"/proc/self/ns/{kind}") for kind in _NAMESPACES],
        _text("/proc/self/cgroup"),
        (os.getuid(), os.geteuid(), os.getgid(), os.getegid(), sorted(os.getgroups())),
        os.getpriority(os.PRIO_PROCESS, 0),
    ]
    return blake2b(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]


def is_name(text: str) -> bool:
    """Return whether a runner may have that name."""
    return len(text) == _DIGITS and set(text) <= set("0123456789abcdef")


def _changes_settings() -> bool:
    """Return whether Prefect would read settings from the current folder, which a runner has not read."""
    if any(os.path.exists(name) for name in _SETTINGS_OF_FOLDER):
        return True
    return "[tool.prefect" in _text("pyproject.toml")


def _stamp(path: str) -> tuple[str, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return path, 0, 0
    return path, found.st_mtime_ns, found.st_size


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
