"""The files that a script reads: one, several, or all that match a pattern with virtual columns."""

from __future__ import annotations

import codecs
import gzip
import os
import re
from collections.abc import Iterator
from typing import IO

_DIGITS = {"yyyy": r"\d{4}", "MM": r"\d\d", "M": r"\d\d?", "dd": r"\d\d", "d": r"\d\d?", "HH": r"\d\d", "H": r"\d\d?"}
_DIGITS.update({"mm": r"\d\d", "m": r"\d\d?", "ss": r"\d\d", "s": r"\d\d?"})
_MARK = re.compile(r"\{(\*|[^{}:]+)(?::([^{}]*))?\}")


class FileSet:
    """A path of EXTRACT.

    Attributes:
        files: The files that match, in the order of their names.
        columns: For each virtual column, its parts: what part of a date it is ('' for all of a text), and which group of
            `pattern` holds it.
        pattern: A regular expression that a file's path matches at its end.
        wrong: What in the braces has no meaning, if something has none.
    """

    def __init__(self, path: str) -> None:
        self.columns: dict[str, list[tuple[str, int]]] = {}
        self.pattern, self.wrong = "", ""
        self.files = [path] if os.path.isfile(path) else []
        if not self.files and "{" in path:
            self._match(path)

    def _match(self, path: str) -> None:
        groups, end, pieces = 0, 0, []
        for found in _MARK.finditer(path):
            pieces.append(re.escape(path[end : found.start()]))
            end = found.end()
            if found[1] == "*":
                pieces.append("[^/]*")
                continue
            digits = _DIGITS.get(found[2] or "")
            if found[2] and found[2] != "*" and digits is None:
                self.wrong = found[0]
                return
            groups += 1
            pieces.append(f"({digits or '[^/]*'})")
            part = (found[2] or "").replace("*", "")
            self.columns.setdefault(found[1].strip("[]"), []).append((part, groups))
        self.pattern = "".join([*pieces, re.escape(path[end:])])
        whole = re.compile(self.pattern)
        top = path[: path.index("{")].rpartition("/")[0] or ("/" if path.startswith("/") else ".")
        for folder, folders, names in os.walk(top, followlinks=True):
            folders.sort()
            for name in sorted(names):
                file = os.path.join(folder, name)
                file = file[2:] if top == "." else file
                found_file = whole.fullmatch(file)
                if found_file and self._agrees(found_file):
                    self.files.append(file)

    def _agrees(self, found: re.Match[str]) -> bool:
        """Return whether parts of a date that stand twice in the path are the same."""
        for parts in self.columns.values():
            held: dict[str, str] = {}
            for part, group in parts:
                if held.setdefault(part[:1] + part[-1:], found[group]) != found[group]:
                    return False
        return True


CODECS = {
    "UTF8": "utf-8",
    "ASCII": "ascii",
    "Unicode": "utf-16-le",
    "BigEndianUnicode": "utf-16-be",
    "UTF7": "utf-7",
    "UTF32": "utf-32-le",
}


def codec_of(name: str) -> str:
    """Return Python's name of an encoding of U-SQL, or of one that `Encoding.GetEncoding` was given."""
    return CODECS.get(name) or name


def guessed(path: str) -> tuple[int, str] | None:
    """Return the place of the first byte that is no UTF-8, and what a file's encoding may be; None if it is UTF-8."""
    with _opened(path) as source:
        start = source.read(4)
    if start.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return 0, "UTF32"
    if start.startswith(b"\xff\xfe"):
        return 0, "Unicode"
    if start.startswith(b"\xfe\xff"):
        return 0, "BigEndianUnicode"
    decoder, done = codecs.getincrementaldecoder("utf-8")(), 0
    with _opened(path) as source:
        while True:
            block = source.read(1 << 20)
            before = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return done - before + error.start, "windows-1252"
            done += len(block)
            if not block:
                return None


def rewritten(path: str, to: str, codec: str, row_delimiter: str) -> None:
    """Write a file as UTF-8, with a line feed after each row.

    Raises:
        UnicodeDecodeError: The file has another encoding.
    """
    os.makedirs(os.path.dirname(to), exist_ok=True)
    with _opened(path) as source, open(to, "w", encoding="utf-8", newline="") as target:
        for piece in _decoded(source, codec):
            other = row_delimiter not in ("", "\n")
            target.write(piece.replace("\n", " ").replace(row_delimiter, "\n") if other else piece)


def _opened(path: str) -> IO[bytes]:
    return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")  # type: ignore[return-value]


def _decoded(source: IO[bytes], codec: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(codec)()
    first = True
    while True:
        block = source.read(1 << 20)
        piece = decoder.decode(block, final=not block)
        if first and piece:
            piece, first = piece.lstrip("\ufeff"), False
        yield piece
        if not block:
            return
