"""The syntax of U-SQL: the trees of scripts, and errors at the place of the script that they are about."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from stepwell.drivers.usql.grammar.parser import parser
from stepwell.drivers.usql.grammar.words import OUTSIDE, RESERVED
from stepwell.errors import UserErrorException

DEEPEST = 1000
"""How deep the parts of a script may be nested; each term of a long sum is one level."""


class UsqlError(UserErrorException):
    """A script says what can't be run; line and column are those of the file."""


class ScriptText:
    """A script with its `@@name@@` replaced, which still knows where each character stands in the file.

    Attributes:
        text: The script that is run.
    """

    def __init__(self, name: str, original: str, values: dict[str, str]) -> None:
        self._name, self._original, self._values = name, original, values
        self._shifts = [(0, 0)]  # from where in the text, how much to add for the place in the file
        pieces, done, length = [], 0, 0
        for found in re.finditer(r"@@(\w+)@@", original):
            if found[1] not in values:
                if self._in_comment(found.start()):
                    continue
                known = ", ".join(sorted(values)) or "none"
                raise UsqlError(
                    f"{self._at(found.start())}: @@{found[1]}@@ is no input, output or parameter of the step",
                    {"line": self._line(found.start()), "there are": known},
                    f"Name an input or output {found[1]!r}, or add it to the step's `params`.",
                )
            pieces += [original[done : found.start()], values[found[1]]]
            length += len(pieces[-2]) + len(pieces[-1])
            done = found.end()
            self._shifts.append((length, done - length))
        self.text = "".join([*pieces, original[done:]])

    def error(self, position: int, what: str, hint: str, **facts: object) -> UsqlError:
        """Return the error about what stands at a position of the text."""
        place = self._place(position)
        return UsqlError(f"{self._at(place)}: {what}", {"line": self._line(place), **facts}, hint)

    def replaced_at(self, position: int) -> str:
        """Return the `@@name@@` whose value begins at a position of the text, '' if none does."""
        found = re.match(r"@@\w+@@", self._original[self._place(position) :])
        return found[0] if found else ""

    def _place(self, position: int) -> int:
        shift = next(shift for start, shift in reversed(self._shifts) if start <= position)
        return min(position + shift, len(self._original))

    def _in_comment(self, place: int) -> bool:
        parts = re.finditer(r'//[^\n]*|/\*.*?\*/|@"(?:[^"]|"")*"|"(?:\\.|[^"\\\n])*"', self._original, re.DOTALL)
        return any(part.start() <= place < part.end() and part[0].startswith("/") for part in parts)

    def _at(self, place: int) -> str:
        before = self._original[:place]
        return f"{self._name}, line {before.count(chr(10)) + 1}, column {place - before.rfind(chr(10))}"

    def _line(self, place: int) -> str:
        start = self._original.rfind("\n", 0, place) + 1
        return self._original[start:].split("\n", 1)[0].strip()


def fail(script: ScriptText, node: Any, what: str, hint: str, **facts: object) -> NoReturn:
    """Raise UsqlError about a part of the script's tree."""
    raise script.error(start_of(node), what, hint, **facts)


def start_of(node: Any) -> int:
    """Return where in the text a part of the tree begins."""
    position = getattr(node, "start_pos", None)
    if position is None:
        position = getattr(getattr(node, "meta", None), "start_pos", None)
    return int(position or 0)


def parse(script: ScriptText) -> Any:
    """Return the tree of a script.

    Raises:
        UsqlError: The script is no U-SQL, or has a statement that can't be run here.
    """
    import lark

    try:
        return _not_too_deep(script, parser().parse(script.text))
    except lark.exceptions.UnexpectedToken as error:
        position, found = error.token.start_pos, str(error.token)
        if error.token.type == "$END":
            position, found = len(script.text.rstrip()), ""
        raise _unexpected(script, position or 0, found, error.accepts or error.expected) from None
    except lark.exceptions.UnexpectedCharacters as error:
        position = error.pos_in_stream or 0
        word = re.match(r"\w+|\S", script.text[position:])
        raise _unexpected(script, position, word[0] if word else "", error.allowed or ()) from None


def _not_too_deep(script: ScriptText, tree: Any) -> Any:
    """Return the tree; raise UsqlError about the first part that is nested deeper than DuckDB computes in due time."""
    parts = [(tree, 0)]
    while parts:
        part, depth = parts.pop()
        if depth > DEEPEST:
            hint = "Compute a part of it in a SELECT before, or make rows of the parts and SUM them."
            raise script.error(start_of(part), f"The expression is nested more than {DEEPEST} deep", hint)
        parts += [(child, depth + 1) for child in part.children if hasattr(child, "children")]
    return tree


_WORDS = {
    "NAME": "a name",
    "VARIABLE": "a variable such as @rows",
    "STRING": "a text",
    "INTEGER": "a number",
    "TYPE": "a type",
    "SEMICOLON": "`;`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "COMMA": "`,`",
    "EQUAL": "`=`",
    "COLON": "`:`",
    "JOIN": "JOIN",
}
_OFTEN = (
    "SEMICOLON",
    "EQUAL",
    "NAME",
    "VARIABLE",
    "TYPE",
    "RPAR",
    "LPAR",
    "COMMA",
    "FROM",
    "USING",
    "TO",
    "AS",
    "ON",
    "BY",
)


# What stands at the place, what the parser would take there ('' is anything), what it is, and what to write.
_MISTAKES = (
    ("=>", "", "A function of `=>` can't be run here", "EXPLODE the array, and aggregate its items."),
    ("=", "EQUALITY", "`=` does not compare in U-SQL", "Write `==`."),
    ("<>", "", "`<>` does not compare in U-SQL", "Write `!=`."),
    (",", "JOIN", "FROM takes joins in U-SQL, no list of rowsets", "Write CROSS JOIN, or INNER JOIN … ON."),
    ("'", "", "A character has more than one character", 'Write texts in double quotes: "text".'),
    (r"\$", "", "Interpolated texts can't be run here", 'Write string.Format("{0}", value).'),
    (
        r"SELECT\b",
        "STRING",
        "A SELECT can't stand in an expression of U-SQL",
        "Write a SEMIJOIN, an ANTISEMIJOIN or a JOIN.",
    ),
    (
        r"(?<=\bTOP )\w|LIMIT\b",
        "",
        "U-SQL has neither TOP nor LIMIT",
        "Write ORDER BY x FETCH 10 ROWS after the SELECT.",
    ),
    (r"OPTION\b", "", "OPTION, which tells the service how to run a query, can't be run here", "Leave it out."),
    (r"VALUES\b", "EXPLODE", "APPLY takes an EXPLODE here", "Write EXPLODE(new SQL.ARRAY<string>{a, b}) AS t(x)."),
    (r"(?:System\.)?Func\b", "TYPE", "A function of C# can't be run here", "Write its expression where it is needed."),
    (r"Sql(?:Array|Map)\b", "TYPE", "SqlArray and SqlMap are no types here", "Write SQL.ARRAY<string>."),
    (r"(?<=\bfrom )\w", "", "A query in C# can't be run here", "EXPLODE the array, and write a SELECT."),
    (r"WITH\b", "", "U-SQL has no WITH … AS", "Give the rows a name: @rows = SELECT …;"),
    (r"AS\b", "RPAR", "U-SQL has no CAST(x AS type)", "Write (int) x, int.Parse(x) or x.ToString()."),
    (r"is\b(?!\s+(?:not|null)\b)", "", "`is` of C# can't be run here", "Write x IS NULL, or compare with ==."),
    (r"SELECT\b", "SEMICOLON", "A SELECT stands in no statement", "Write @rows = SELECT …;"),
    (
        r"(?:FROM|WHERE|GROUP|ORDER|HAVING|USING)\b",
        "NAME",
        "Something is missing before that word",
        "Write a column there, or leave out the comma or operator before it.",
    ),
    (
        r"as\s+(?:int|long|string|double|DateTime)\b",
        "",
        "`as` of C# can't be run here",
        "Write a cast, such as (int?) x.",
    ),
    (r"(?<=\?)\.", "", "`?.` of C# can't be run here", "Write x == null ? null : x.Trim()."),
    (r"(?<=\+)\+|\+\+|AS\b(?<=\+\+ AS)", "", "`++` of C# can't be run here", "Write x + 1."),
    (r"(?<=>\{)\{", "", "A SQL.MAP can't be made here", "Keep the pairs as a text, or as rows."),
)


def _unexpected(script: ScriptText, position: int, found: str, expected: Any) -> UsqlError:
    word, replaced = re.match(r"\w+", found), script.replaced_at(position)
    if replaced and "STRING" in expected:
        return script.error(position, f"The value of {replaced} is a text", f'Write it in double quotes: "{replaced}".')
    if word and word[0] in OUTSIDE:
        what, hint = OUTSIDE[word[0]]
        return script.error(position, f"{what} can't be run here", hint)
    for pattern, needed, what, hint in _MISTAKES:
        if re.compile(pattern).match(script.text, position) and (not needed or needed in expected):
            return script.error(position, what, hint)
    if word and word[0].upper() in RESERVED and not word[0].isupper() and word[0].upper() in {*expected}:
        hint = f"Write {word[0].upper()}: the words of U-SQL have capital letters."
        return script.error(position, f"`{word[0]}` is no word of U-SQL", hint)
    if {*expected} == {"DOT"}:
        hint = "Write a value there; a cast is (int) x, and a text is read by int.Parse(x)."
        return script.error(position, "A type stands where a value is expected", hint)
    if word and word[0] in RESERVED and "NAME" in expected and not {*expected} & {"SEMICOLON", "RPAR"}:
        hint = f"Write a name there; a column that is called so stands in brackets: [{word[0]}]."
        return script.error(position, f"`{word[0]}` is a word of U-SQL, and stands where a name is expected", hint)
    likely = [name for name in _OFTEN if name in expected][:3] or sorted(expected)[:3]
    words = " or ".join(_WORDS.get(name) or _literal(name) for name in likely)
    what = f"`{found}` is not expected there" if found.strip() else "The script ends too early"
    return script.error(position, what, f"Write {words} there." if words else "Correct the line.")


def _literal(name: str) -> str:
    """Return how a token is written that is always the same, else its name."""
    pattern = parser().get_terminal(name).pattern
    return f"`{pattern.value if pattern.type == 'str' else name}`"
