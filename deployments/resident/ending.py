"""The end of a command in a fork of the runner: as Python ends, but for what the runner has imported, which is left as it is.

To take that apart takes Python a tenth of a second and a copy of each page that the fork still shares with the runner.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import threading
import weakref
from collections.abc import Callable, Collection
from contextlib import suppress
from types import ModuleType
from typing import Any


def run_to_end(run: Callable[[], None], known: Collection[str]) -> None:
    """Run the command, and end this process with its exit code; modules that are not `known` are taken apart before.

    Whatever Python tells of an end that is no usual one, it tells itself.
    """
    code = 0
    try:
        run()
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise
        code = end.code or 0
    threads: Any = threading
    threads._shutdown()  # waits for all threads that are no daemons  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    if _is_written():
        _take_apart(known)
        if _is_written():
            os._exit(code & 0xFF)
    sys.exit(code)


def _take_apart(known: Collection[str]) -> None:
    """Let go of what the command has imported, so that its objects come to their end, too: as Python does, the last first."""
    names = [name for name in reversed(sys.modules) if name not in known and name != __name__]
    let_go = [sys.modules.pop(name) for name in names]
    there = [weakref.ref(module) for module in let_go if isinstance(module, ModuleType)]  # some put other things there
    del let_go
    for one in gc.get_objects():  # without what the runner has
        if type(one) is io.TextIOWrapper and not one.closed:  # in a circle its bytes may end before it does
            with suppress(OSError, ValueError):
                one.flush()
    one = None
    gc.collect()
    for module in filter(None, (reference() for reference in there)):
        inner = vars(module)
        own = [name for name in inner if name.startswith("_") and not name.startswith("__")]
        for name in (*own, *(name for name in inner if name != "__builtins__")):
            inner[name] = None
    gc.collect()


def _is_written() -> bool:
    """Return whether everything went out that was printed."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except (OSError, ValueError):
        return False
    return True
