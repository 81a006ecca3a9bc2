"""Which files of a source directory don't count: Azure ML v1's choice of ignore file, git's meaning of its patterns.

`pathspec` holds the patterns and decides; what one line means is defined here. Of the tests' random sets of patterns
its own gitignore patterns answered 595 in 1,000 otherwise than git (`[z-a]`, `[[:alpha:]]`, `a**/b`, tabs or escaped
blanks at the end, `?` against half a character). The tests compare every answer with `git check-ignore`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from pathspec import PathSpec, RegexPattern

from stepwell.errors import SnapshotException
from stepwell.model.regular_files import read_bytes

IGNORE_FILES = (".amlignore", ".gitignore")
"""In the order in which they are looked for; the first that exists is used alone."""

NEVER_KEPT = frozenset({".git", "__pycache__", ".ipynb_checkpoints"})
"""Left out at any depth without being listed: tools write them while a step runs or a user looks at it, no script reads
them, and their content would make unchanged steps run again. v1 leaves out nothing that isn't listed."""

LITTER = frozenset(
    {
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".pytype", ".coverage"),
        *(".tox", ".nox", ".pixi", ".direnv", ".eggs", "__pypackages__", "node_modules", "conda-meta"),
        *(".idea", ".vscode", ".DS_Store"),
    }
)
"""Left out at any depth, as is what ends in `.egg-info`, unless the ignore file asks for it by name (`!node_modules`):
what tools keep beside the code."""

MARKS = ("pyvenv.cfg", "conda-meta", "CACHEDIR.TAG")
"""A folder that holds one of these is a virtual environment, a conda environment or a cache, and left out likewise: it
stands for packages, which count by version, and links of environments lead out of the source directory."""


class IgnoreRules:
    """The rules of one source directory. Paths are relative to it, `/`-separated and surrogate-escaped."""

    def __init__(self, directory: Path, source: str, patterns: bytes) -> None:
        self.directory = directory
        self.source = source
        """The name of the ignore file in use; '' if there is none."""
        # The other backends know neither atomic groups nor what stands behind.
        lines = list(_lines(patterns))
        self._patterns = PathSpec(_patterns(lines), backend="simple")
        named = (line for line in lines if not re.fullmatch(r"![*/]+", line))  # all that there is, is no name
        self._names = PathSpec(_patterns(named), backend="simple")
        self._folders: dict[str, bool] = {"": False}

    @classmethod
    def read(cls, directory: Path) -> IgnoreRules:
        """Read the rules of `directory`'s ignore file; parents and nested folders are not looked at."""
        for name in IGNORE_FILES:
            try:
                return cls(directory, name, read_bytes(directory / name))
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                continue
            except OSError as error:
                facts = {"file": directory / name, "reason": error.strerror}
                raise SnapshotException("The ignore file can't be read", facts, "Make it a readable file.") from error
        return cls(directory, "", b"")

    def excludes(self, path: str, is_folder: bool) -> bool:
        """Return whether `path` doesn't count, by itself or because a folder above it doesn't; a link is no folder."""
        if is_folder:
            excluded = self._folders.get(path)
            if excluded is None:
                excluded = self._folders[path] = self._decide(path, is_folder)
            return excluded
        return self._decide(path, is_folder)

    def _decide(self, path: str, is_folder: bool) -> bool:
        folder, _, name = path.rpartition("/")
        if name in NEVER_KEPT or self.excludes(folder, is_folder=True):
            return True
        text = os.fsencode(path).decode("latin-1") + "/" * is_folder
        if name in LITTER or name.endswith(".egg-info") or (is_folder and self._is_marked(path)):
            return self._names.check_file(text).include is not False
        return self._patterns.match_file(text)

    def _is_marked(self, path: str) -> bool:
        return any(os.path.lexists(self.directory / path / mark) for mark in MARKS)


def _patterns(lines: Iterable[str]) -> Iterator[RegexPattern]:
    """Yield one for each stretch of lines of the same sign: as the last match wins, they mean the same, but faster."""
    for negated, stretch in groupby(lines, key=lambda line: line.startswith("!")):
        yield RegexPattern(re.compile("|".join(map(_paths, stretch)), re.DOTALL), not negated)


def _lines(content: bytes) -> Iterator[str]:
    """Yield the lines without blanks at their ends, one byte one character: `?` and `[...]` mean a byte, as in git."""
    for line in content.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n"):
        if not line.startswith("#"):
            yield re.sub(r"(\\.)| +\Z", r"\1", line.removesuffix("\r").partition("\0")[0])


def _paths(line: str) -> str:
    """Return a regular expression of what `line` lists: paths of files, and paths of folders with a `/` behind."""
    text = line.removeprefix("!")
    glob = text.removesuffix("/")
    regex = _regex(glob.removeprefix("/") if "/" in glob else f"**/{glob}")
    return rf"\A{regex}(?<!/){'/?' if glob == text else '/'}\Z"


def line_for(path: str) -> str:
    """Return the line of an ignore file that lists one path of the directory; for what no line can hold it has a `?`."""
    line = "".join("?" if _in_no_line(one) else f"\\{one}" if one in "\\*?[" else one for one in f"/{path}")
    return re.sub(r" \Z", r"\\ ", line)


def _in_no_line(character: str) -> bool:
    return character in "\r\n" or "\udc80" <= character <= "\udcff"  # a byte that is no text


def matching(glob: str, paths: Iterable[str]) -> list[str]:
    """Return the files that a pattern lists as an ignore file would, by themselves or by a folder above them."""
    pattern = re.compile(_paths(glob.encode(errors="surrogateescape").decode("latin-1")), re.DOTALL)

    def matches(path: str) -> bool:
        parts = os.fsencode(path).decode("latin-1").split("/")
        places = ("/".join(parts[:end]) + "/" * (end < len(parts)) for end in range(1, len(parts) + 1))
        return any(pattern.search(place) for place in places)

    return [path for path in paths if matches(path)]


# What git's wildmatch.c makes of a glob, as a regular expression ------------------------------------------------------

_STAR, _FOLDERS, _NOTHING = "[^/]*", "(?:.*/)?", "(?!)"

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\0-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t\n\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}

_MEMBER = r"(?> \[:([^]]*):] | (\\.|[^\\]) (?:-(\\.|[^]\\]))? )"

_TOKEN = re.compile(
    rf"""
      (?<![^/]) \*\*+ (?: (?P<folders>/) | (?P<below>\\/) | (?P<all>\Z) )
    | (?P<star> \*+ )
    | (?P<one> \? )
    | \[ (?P<negated> [!^]?+ ) (?P<members> {_MEMBER} (?: (?!]) {_MEMBER} )*+ ) ]
    | \\ (?P<escaped> . )
    | (?P<broken> [\[\\] )
    | (?P<plain> . )
    """,
    re.VERBOSE,
)

_MEANINGS = {
    "folders": _FOLDERS,
    "below": f"{_STAR}/{_FOLDERS}",
    "all": _FOLDERS + _STAR,
    "star": _STAR,
    "one": "[^/]",
    "broken": _NOTHING,
}


def _regex(glob: str) -> str:
    # Git compares the part without wildcards first, so that a `**` right behind it counts as the beginning of a glob.
    parts = re.split(r"(?=[*?[\\])", glob, maxsplit=1)
    regex = "".join(_TOKEN.sub(_meaning, part) for part in parts)
    stretches = [_hasty(stretch, _STAR, "[^/]*?") for stretch in regex.split(_FOLDERS)]
    return _hasty(_FOLDERS.join(stretches), _FOLDERS, "(?:.*?/)??")


def _meaning(token: re.Match[str]) -> str:
    if token["members"]:
        return _set(token["members"], "^" if token["negated"] else "")
    return _MEANINGS.get(token.lastgroup or "") or re.escape(token["escaped"] or token["plain"])


def _set(members: str, negation: str) -> str:
    listed = ""
    for name, low, high in re.findall(_MEMBER, members, re.VERBOSE):
        if low:
            first, last = low[-1], high[-1:]
            listed += f"{re.escape(first)}-{re.escape(max(first, last))}"  # git takes `[z-a]` for `[z]`
        elif name in _CLASSES:
            listed += _CLASSES[name]
        else:
            return _NOTHING
    return f"(?!/)[{negation}/{listed}]"


def _hasty(regex: str, star: str, lazy_star: str) -> str:
    # What stands between two stars may match at its first chance only: same result, but never exponential time.
    head, *parts = regex.split(star)
    between = "".join(f"(?>{lazy_star}{part})" for part in parts[:-1])
    return head + between + "".join(star + part for part in parts[-1:])
