"""Regular expressions of .NET: patterns in the words of the `regex` library, and replacements as .NET fills them in."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

OPTIONS = {
    "None": "",
    "IgnoreCase": "i",
    "Multiline": "m",
    "Singleline": "s",
    "ExplicitCapture": "n",
    "IgnorePatternWhitespace": "x",
    "Compiled": "",
    "CultureInvariant": "",
}
"""What of RegexOptions is known here, as letters."""

_WORD = r"\p{L}\p{Mn}\p{Nd}\p{Pc}"
_SPACE = r"\t-\r\x85\p{Z}"
_JOINED = rf"[{_WORD}\u200c\u200d]"
_BOUNDARY = rf"(?:(?<={_JOINED})(?!{_JOINED})|(?<!{_JOINED})(?={_JOINED}))"
_NO_BOUNDARY = rf"(?:(?<={_JOINED})(?={_JOINED})|(?<!{_JOINED})(?!{_JOINED}))"
_POINTS = {"b": _BOUNDARY, "B": _NO_BOUNDARY, "A": r"\A", "Z": r"(?=\n?\Z)", "z": r"\Z", "G": r"\G"}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}
_BLOCKS = {"Greek": "GreekandCoptic", "CombiningMarksforSymbols": "CombiningDiacriticalMarksforSymbols"}
_COUNTED = re.compile(r"\{\d+(?:,\d*)?\}")
_NAME = re.compile(r"\?(?:<(?![=!])([^>]*)>|'([^']*)')")
_FLAGS = re.compile(r"\?([imnsx]*)(?:-([imnsx]*))?([:)])")


class PatternError(Exception):
    """A pattern can't be run: where in it, and why."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(f"{why} at character {at + 1} of the pattern")


class Pattern(NamedTuple):
    """A pattern, compiled.

    Attributes:
        compiled: What the library runs; the group of .NET's number n is called `gn`.
        groups: .NET's numbers of groups, by their names; those without have their numbers as names.
    """

    compiled: Any
    groups: dict[str, int]

    def group(self, found: Any, name: str) -> str | None:
        """Return what a group holds, by .NET's name or number of it; None if it took no part, or is none."""
        if name == "0":
            return str(found[0])
        number = self.groups.get(name, int(name) if name.isdecimal() else -1)
        return found[f"g{number}"] if number in self.groups.values() else None


@lru_cache(maxsize=256)
def compiled(pattern: str, options: str = "") -> Pattern:
    """Return a pattern of .NET, compiled.

    Raises:
        PatternError: It is none, or has what can't be run here.
    """
    import regex

    reader = _Reader(pattern, frozenset(options))
    text = reader.read()
    try:
        return Pattern(regex.compile(text, regex.V0), reader.groups)
    except regex.error as error:
        raise PatternError(0, str(error)) from None


def replaced(text: str, pattern: Pattern, replacement: str) -> str:
    """Return a text with each match replaced as `Regex.Replace` does."""
    pieces = _pieces(replacement, pattern)
    return str(pattern.compiled.sub(lambda found: "".join(piece(found) for piece in pieces), text))


def split(text: str, pattern: Pattern) -> list[str]:
    """Return the parts between matches, and what their groups hold, as `Regex.Split` does."""
    parts, place = [], 0
    for found in pattern.compiled.finditer(text):
        parts.append(text[place : found.start()])
        held = (pattern.group(found, str(number)) for number in sorted(set(pattern.groups.values())))
        parts += [part for part in held if part is not None]
        place = found.end()
    return [*parts, text[place:]]


def escaped(text: str) -> str:
    """Return a text as a pattern that matches it, as `Regex.Escape` does."""
    words = {"\t": r"\t", "\n": r"\n", "\r": r"\r", "\f": r"\f"}
    return re.sub(r"[\\*+?|{\[()^$.# \t\n\r\f]", lambda found: words.get(found[0], "\\" + found[0]), text)


def _pieces(replacement: str, pattern: Pattern) -> list[Callable[[Any], str]]:
    """Return what makes each part of a replacement from a match."""
    made: list[Callable[[Any], str]] = []
    words: dict[str, Callable[[Any], str]] = {
        "$": lambda _: "$",
        "&": lambda found: found[0],
        "`": lambda found: found.string[: found.start()],
        "'": lambda found: found.string[found.end() :],
        "_": lambda found: found.string,
        "+": lambda found: pattern.group(found, str(max(pattern.groups.values(), default=0))) or "",
    }
    for found in re.finditer(r"\$(?:([$&`'_+])|(\d+)|\{(\w+)\})|[^$]+|\$", replacement):
        name = found[2] or found[3]
        number = (name or "-").lstrip("0") or "0"
        if found[1]:
            made.append(words[found[1]])
        elif number == "0" or number in map(str, pattern.groups.values()):
            made.append(_of_group(pattern, number))
        elif name in pattern.groups:
            made.append(_of_group(pattern, name))
        else:
            made.append(partial(_same, found[0]))
    return made


def _of_group(pattern: Pattern, name: str) -> Callable[[Any], str]:
    return lambda found: pattern.group(found, name) or ""


def _same(text: str, _found: Any) -> str:
    return text


class _Reader:
    """Reads a pattern of .NET once, from left to right."""

    def __init__(self, pattern: str, flags: frozenset[str]) -> None:
        self.pattern, self.at, self.flags = pattern, 0, flags
        self.groups: dict[str, int] = {}
        self._unnamed: list[str] = []
        self._named: list[str] = []
        self._out: list[str | tuple[str, str, int]] = []
        self._open: list[tuple[frozenset[str], int]] = []
        self._may_repeat = False

    def read(self) -> str:
        """Return the pattern in the library's words."""
        while self.at < len(self.pattern):
            start = self.at
            self.at += 1
            if not self._passed_over(start):
                self._read_one(start, self.pattern[start])
        if self._open:
            raise PatternError(self._open[-1][1], "`(` is not closed")
        self._number()
        return "".join(piece if isinstance(piece, str) else self._resolved(*piece) for piece in self._out)

    def _passed_over(self, start: int) -> bool:
        """Return whether white space or a remark begins there, which the flag `x` lets stand in patterns."""
        one = self.pattern[start]
        if "x" not in self.flags or not (one.isspace() or one == "#"):
            return False
        if one == "#":
            self.at = (self.pattern.find("\n", start) + 1) or len(self.pattern)
        return True

    def _read_one(self, start: int, one: str) -> None:
        if one in "*+?" or (one == "{" and _COUNTED.match(self.pattern, start)):
            self._repeat(start, one)
        elif one == "(":
            self._group(start)
        elif one == ")":
            if not self._open:
                raise PatternError(start, "`)` closes nothing")
            self.flags, _ = self._open.pop()
            self._add(")")
        elif one == "|":
            self._add("|", may_repeat=False)
        elif one == "[":
            self._atom(self._class(start))
        elif one == "\\":
            self._escape(start)
        elif one in ".^$":
            ends = {"^": "(?m:^)", "$": r"(?=\n|\Z)"} if "m" in self.flags else {"^": r"\A", "$": r"(?=\n?\Z)"}
            self._add(ends.get(one) or ("(?s:.)" if "s" in self.flags else r"[^\n]"))
        else:
            self._atom(_literal(one))

    def _add(self, text: str, *, may_repeat: bool = True) -> None:
        self._out.append(text)
        self._may_repeat = may_repeat

    def _atom(self, text: str) -> None:
        self._add(f"(?i:{text})" if "i" in self.flags else text)

    def _repeat(self, start: int, one: str) -> None:
        if not self._may_repeat:
            raise PatternError(start, f"`{one}` repeats nothing")
        counted = _COUNTED.match(self.pattern, start)
        count = counted[0] if counted else one
        self.at = start + len(count)
        bounds = count.strip("{}").split(",")
        if len(bounds) == 2 and bounds[1] and int(bounds[1]) < int(bounds[0]):
            raise PatternError(start, f"`{count}` ends before it begins")
        lazy = self.pattern[self.at : self.at + 1] == "?"
        self.at += lazy
        self._add(count + ("?" if lazy else ""), may_repeat=False)

    def _group(self, start: int) -> None:
        rest = self.pattern[self.at :]
        if rest.startswith("?#"):
            end = self.pattern.find(")", self.at)
            if end < 0:
                raise PatternError(start, "The comment is not closed")
            self.at = end + 1
            return
        flags = _FLAGS.match(rest)
        if flags and flags[3] == ")":
            self.flags = (self.flags | set(flags[1])) - set(flags[2] or "")
            self.at += flags.end()
            return
        self._open.append((self.flags, start))
        known = next((word for word in ("?:", "?=", "?!", "?<=", "?<!", "?>") if rest.startswith(word)), "")
        name = _NAME.match(rest)
        if flags:
            self.flags = (self.flags | set(flags[1])) - set(flags[2] or "")
            self.at += flags.end()
            self._add("(?:", may_repeat=False)
        elif known:
            self.at += len(known)
            self._add("(" + known, may_repeat=False)
        elif name:
            self.at += name.end()
            self._name(start, name[1] if name[1] is not None else name[2])
        elif rest.startswith("?"):
            what = "A condition `(?(`" if rest.startswith("?(") else f"`({rest[:2]}`"
            raise PatternError(start, f"{what} can't be run here")
        elif "n" in self.flags:
            self._add("(?:", may_repeat=False)
        else:
            self._unnamed.append(str(len(self._unnamed) + 1))
            self._out.append(("group", self._unnamed[-1], start))
            self._may_repeat = False

    def _name(self, start: int, name: str) -> None:
        if "-" in name:
            raise PatternError(start, "A balancing group can't be run here")
        if not re.fullmatch(r"\w+", name) or (name[0].isdecimal() and not (name.isdecimal() and name[0] != "0")):
            raise PatternError(start, f"{name!r} can't name a group")
        self._named.append(name)
        self._out.append(("group", name, start))
        self._may_repeat = False

    def _number(self) -> None:
        """Give the groups .NET's numbers: those without names first."""
        self.groups = {name: int(name) for name in [*self._unnamed, *(one for one in self._named if one.isdecimal())]}
        for name in self._named:
            if name not in self.groups:
                taken = set(self.groups.values())
                self.groups[name] = next(number for number in range(1, len(taken) + 2) if number not in taken)

    def _resolved(self, kind: str, name: str, start: int) -> str:
        number = self.groups.get(name, int(name) if name.isdecimal() and int(name) in self.groups.values() else 0)
        if kind == "group":
            return f"(?P<g{number}>"
        if number:
            return f"(?i:(?P=g{number}))" if kind == "small" else f"(?P=g{number})"
        octal = re.match("[0-7]{1,3}", name)
        if octal and len(name) > 1:
            return _literal(chr(int(octal[0], 8) & 255)) + name[octal.end() :]
        raise PatternError(start, f"There is no group {name!r}")

    # Escapes and classes ------------------------------------------------------------------------------------------

    def _escape(self, start: int) -> None:
        if self.at >= len(self.pattern):
            raise PatternError(start, "A backslash stands at the end")
        one = self.pattern[self.at]
        reference = re.compile(r"[1-9]\d*|k(?:<(\w+)>|'(\w+)')").match(self.pattern, self.at)
        if one in _POINTS:
            self.at += 1
            self._add(_POINTS[one])
        elif reference:
            self.at = reference.end()
            name = reference[1] or reference[2] or reference[0]
            self._out.append(("small" if "i" in self.flags else "reference", name, start))
            self._may_repeat = True
        else:
            inside, outside = self._kind()
            if inside or outside:
                self._atom(f"[{inside}]" if inside else f"[^{outside}]")
            else:
                self._atom(_literal(self._character(start)))

    def _kind(self) -> tuple[str, str]:
        """Return what a class in a letter holds, or what it holds not; two empty texts if there is none."""
        one = self.pattern[self.at]
        kinds = {"w": _WORD, "s": _SPACE, "d": r"\p{Nd}"}
        if one.lower() in kinds:
            self.at += 1
            return (kinds[one], "") if one in kinds else ("", kinds[one.lower()])
        if one not in "pP":
            return "", ""
        start = self.at
        named = re.compile(r"[pP]\{(\w+(?:-\w+)*)\}").match(self.pattern, start)
        if named is None:
            raise PatternError(start - 1, f"`\\{one}` needs a name in braces")
        self.at = named.end()
        block = re.sub("^Is", "", named[1])
        name = f"In{_BLOCKS.get(block, block)}" if named[1].startswith("Is") else named[1]
        import regex

        try:
            regex.compile(rf"\p{{{name}}}")
        except regex.error:
            raise PatternError(start - 1, f"There is no category or block {named[1]!r}") from None
        return rf"\{one}{{{name}}}", ""

    def _character(self, start: int) -> str:
        one = self.pattern[self.at]
        number = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(0[0-7]{0,2})|c([A-Za-z@\[\\\]^_])").match(
            self.pattern, self.at
        )
        if number:
            self.at = number.end()
            if number[4]:
                return chr(ord(number[4].upper()) - 64)
            return chr(int(number[1] or number[2], 16) if number[1] or number[2] else int(number[3], 8))
        self.at += 1
        if one in _CONTROLS:
            return _CONTROLS[one]
        if re.match(r"\w", one):
            raise PatternError(start, f"`\\{one}` means nothing")
        return one

    def _class(self, start: int) -> str:
        """Return a class in brackets, which the library has no words for if it holds what another class does not."""
        negated = self.pattern[self.at : self.at + 1] == "^"
        self.at += negated
        inside, others, first = "", [], True
        without = ""
        while True:
            if self.at >= len(self.pattern):
                raise PatternError(start, "`[` is not closed")
            one = self.pattern[self.at]
            if one == "]" and not first:
                self.at += 1
                break
            if one == "-" and self.pattern[self.at + 1 : self.at + 2] == "[" and not first:
                self.at += 2
                without = self._class(self.at - 1)
                continue
            first = False
            held, not_held = self._item(start)
            inside += held
            others += [f"[^{not_held}]"] if not_held else []
        if not others:
            made = f"[{'^' if negated else ''}{inside}]"
        else:
            either = "|".join([f"[{inside}]"] * bool(inside) + others)
            made = f"(?:(?!{either})(?s:.))" if negated else f"(?:{either})"
        return f"(?:(?!{without}){made})" if without else made

    def _item(self, start: int) -> tuple[str, str]:
        low = self._of_class(start)
        if isinstance(low, tuple):
            return low
        if self.pattern[self.at : self.at + 1] != "-" or self.pattern[self.at + 1 : self.at + 2] in ("]", "[", ""):
            return _literal(low), ""
        self.at += 1
        high = self._of_class(start)
        if isinstance(high, tuple):
            raise PatternError(start, "A range ends with a class")
        if high < low:
            raise PatternError(start, f"The range {low}-{high} ends before it begins")
        return f"{_literal(low)}-{_literal(high)}", ""

    def _of_class(self, start: int) -> str | tuple[str, str]:
        one = self.pattern[self.at]
        self.at += 1
        if one != "\\":
            return one
        if self.at >= len(self.pattern):
            raise PatternError(start, "`[` is not closed")
        if self.pattern[self.at] == "b":
            self.at += 1
            return "\b"
        kind = self._kind()
        return kind if kind != ("", "") else self._character(start)


def _literal(one: str) -> str:
    """Return a character as the library takes it inside and outside of brackets."""
    if one.isalnum() or ord(one) > 127:
        return one
    return "\\" + one if one.isprintable() and one != " " else f"\\x{ord(one):02x}"
