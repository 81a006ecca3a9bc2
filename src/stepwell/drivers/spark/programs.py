"""Programs as cells of notebooks run them: what they print is shown as it comes."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

_SECONDS_BETWEEN_LOOKS = 0.1


def run_shown(command: Sequence[str]) -> int:
    """Run a program, and return its exit code; processes that it leaves in the background are not waited for."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:  # a pipe would end with what it leaves
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        shown = [_Shown(out, "stdout"), _Shown(err, "stderr")]
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_SECONDS_BETWEEN_LOOKS)
                for one in shown:
                    one.show()
        except BaseException:
            process.kill()
            process.wait()
            raise
        for one in shown:
            one.show(end=True)
    return process.returncode


class _Shown:
    """A file that is written, shown by one of the notebook's streams."""

    def __init__(self, file: IO[bytes], stream: str) -> None:
        self._file, self._stream = file, stream
        self._place = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(self, *, end: bool = False) -> None:
        """Show what is new."""
        data = os.pread(self._file.fileno(), os.fstat(self._file.fileno()).st_size - self._place, self._place)
        self._place += len(data)
        text = self._decoder.decode(data, end)
        if text:
            print(text, end="", file=getattr(sys, self._stream), flush=True)
