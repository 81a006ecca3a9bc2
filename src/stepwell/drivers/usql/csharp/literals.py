"""Literals of C#: texts with their escapes, and numbers with their suffixes."""

from __future__ import annotations

import re
from typing import Any

from stepwell.drivers.usql.csharp.columns import Type, Value
from stepwell.drivers.usql.csharp.syntax import ScriptText

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def text_in(script: ScriptText, token: Any, inner: str) -> str:
    """Return what a text or character of the script holds, its escapes resolved."""

    def resolved(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code:
            return chr(int(code, 16))
        if found[4] in _ESCAPES:
            return _ESCAPES[found[4]]
        if found[4] in "\\'\"":
            return found[4]
        hint = f'Write \\\\{found[4]}, or the text as @"…", where backslashes are what they are.'
        raise script.error(token.start_pos + 1 + found.start(), f"\\{found[4]} is no escape of C#", hint)

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{1,4})|(.))", resolved, inner)


def number_of(script: ScriptText, token: Any, sign: str = "") -> Value:
    """Return a number of the script, typed as C# does: by its suffix, or as the first type that holds it."""
    written = str(token)
    whole = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)", written)
    if whole:
        held = int(whole[1], 16 if whole[1][:2].lower() == "0x" else 10) * (-1 if sign else 1)
        return _whole(script, token, held, whole[2].lower())
    suffix = written[-1].lower()
    digits = sign + written.rstrip("fFdDmM")
    if suffix == "m":
        return Value(f"CAST({digits} AS DECIMAL(38,10))", Type("decimal"), literal=float(digits))
    name = "float" if suffix == "f" else "double"
    return Value(f"CAST({digits} AS {Type(name).held})", Type(name), literal=float(digits))


def _whole(script: ScriptText, token: Any, held: int, suffix: str) -> Value:
    names = {"": ("int", "uint", "long", "ulong"), "l": ("long", "ulong"), "u": ("uint", "ulong")}.get(
        suffix, ("ulong",)
    )
    limits = {
        "int": (-(2**31), 2**31 - 1),
        "uint": (0, 2**32 - 1),
        "long": (-(2**63), 2**63 - 1),
        "ulong": (0, 2**64 - 1),
    }
    for name in names:
        low, high = limits[name]
        if low <= held <= high:
            sql = str(held) if name == "int" else f"CAST({held} AS {Type(name).held})"
            return Value(sql, Type(name), literal=held)
    raise script.error(
        token.start_pos, f"{held} is too large for a whole number", "Write it with a point: as a double."
    )
