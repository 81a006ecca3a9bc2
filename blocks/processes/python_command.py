"""What a command runs as far as its words tell: scripts, modules and lines of Python, and other programs."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_PYTHON = re.compile(r"(.*/)?(python|pypy)(\d+(\.\d+)*)?t?\Z", re.DOTALL)
_HERE_DOCUMENT = re.compile(
    r"(?<!<)<<-?(?!<)[ \t]*(['\"\\]?)(\w+)\1([^\n]*\n).*?^\t*\2[ \t]*$", re.DOTALL | re.MULTILINE
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_WITH_VALUE, _LAST = "WX", "cm"
_SHELL_WORDS = frozenset(
    "! { } [[ ]] case do done elif else esac fi for function if in select then time until while exec command eval".split()  # noqa: SIM905
)
_LOOPS = frozenset(("for", "select"))
SHELLS = frozenset(("sh", "bash", "dash", "ash", "ksh", "zsh"))
_SIGNS = ";&|()<>\n"
_WRAPPERS = frozenset("command env exec nice nohup setsid stdbuf time timeout xargs".split())  # noqa: SIM905
_ORDINARY = frozenset(
    """. : [ alias awk basename break cat cd chmod cmp continue cp curl cut date dd declare diff dirname du echo export
    expr false find grep gunzip gzip head hostname id install kill let ln local ls mkdir mktemp mv paste popd printf
    pushd pwd read readlink realpath return rm rmdir sed seq set sha256sum shift sleep sort source split tail tar tee
    test touch tr trap true type ulimit umask uname uniq unset unzip uv wait wc wget which yes zip""".split()  # noqa: SIM905
)
"""Programs whose version decides no result."""


class PythonCall(NamedTuple):
    """A call of Python: its `options`, and the `script`, `module` or `code` that it runs; `length` words in all."""

    options: tuple[str, ...]
    script: str = ""
    module: str = ""
    code: str = ""
    length: int = 0


def is_python(word: str) -> bool:
    """Return whether a word names a Python interpreter, such as `python`, `python3.12` or `/usr/bin/python3`."""
    return bool(_PYTHON.match(word))


def python_call(words: Sequence[str]) -> PythonCall | None:
    """Return what a command that begins with a Python runs; None for another one, or one that reads its standard input."""
    if not words or not is_python(words[0]):
        return None
    place = 1
    while place < len(words):
        word = words[place]
        if word == "-" or not word:
            return None
        if not word.startswith("-"):
            return PythonCall(tuple(words[1:place]), script=word, length=place + 1)
        if word.startswith("--"):
            place += 2 if word == "--check-hash-based-pycs" else 1
            continue
        for position, letter in enumerate(word[1:], 2):
            if letter not in _WITH_VALUE + _LAST:
                continue
            value, after = (
                (word[position:], place + 1) if word[position:] else ("".join(words[place + 1 : place + 2]), place + 2)
            )
            if letter in _LAST:
                options = (*words[1:place], *([word[: position - 1]] if position > 2 else []))
                found = {"m": {"module": value}, "c": {"code": value}}[letter]
                return PythonCall(options, length=min(after, len(words)), **found) if value else None
            place = after - 1
            break
        place += 1
    return None


def shell_commands(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command of a shell's text, as far as they can be told without running it."""
    lines = _HERE_DOCUMENT.sub(r"\3", text.replace("\r\n", "\n")).replace("\\\n", " ")
    lexer = shlex.shlex(lines, posix=True, punctuation_chars=_SIGNS)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if word and not word.strip(_SIGNS):
                if "<" in word or ">" in word:
                    words.append(word)
                else:
                    yield from _command(words)
                    words = []
            else:
                words.append(word)
    except ValueError:  # a quote that nothing closes
        pass
    yield from _command(words)


def _command(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the words without redirections, assignments and the shell's own words before them."""
    kept: list[str] = []
    skip = False
    if words and words[0] in _LOOPS:  # these words are a name and values, no command
        return
    for word in words:
        if skip:
            skip = False
        elif word and not word.strip("<>&|"):
            skip = True
            if kept and kept[-1].isdigit():
                kept.pop()
        elif kept or not (_ASSIGNMENT.match(word) or word in _SHELL_WORDS):
            kept.append(word)
    if kept:
        yield tuple(kept)


def program_of(words: Sequence[str]) -> str:
    """Return the program that a command starts and whose version may decide its result; '' if there is none."""
    place = 0
    while place < len(words) and words[place] in _WRAPPERS:
        place += 1
        while place < len(words) and re.match(r"-|\d|[A-Za-z_]\w*=", words[place]):
            place += 1
    word = words[place] if place < len(words) else ""
    plain = re.fullmatch(r"[\w./+@-]+", word) and not word.startswith("-")
    return word if plain and os.path.basename(word) not in _ORDINARY | SHELLS and not is_python(word) else ""


def shell_text(words: Sequence[str]) -> str | None:
    """Return the text of a command such as `bash -c TEXT`; None for another one."""
    if not words or os.path.basename(words[0]) not in SHELLS:
        return None
    for place, word in enumerate(words[1:-1], 1):
        if not word.startswith("-"):
            return None
        if not word.startswith("--") and "c" in word:
            return words[place + 1]
    return None
