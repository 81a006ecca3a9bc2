"""The arguments of extractors and outputters, and constants of the script that have to be known before it runs."""

from __future__ import annotations

import codecs
import difflib
from typing import Any, NoReturn

from stepwell.drivers.usql.csharp.columns import Value
from stepwell.drivers.usql.csharp.scope import NOTHING, Scope
from stepwell.drivers.usql.file_sets import CODECS

_BOTH: dict[str, Any] = {
    "delimiter": ",",
    "encoding": "UTF8",
    "escapeCharacter": None,
    "nullEscape": None,
    "quoting": True,
    "rowDelimiter": None,
    "charFormat": "uint16",
}
EXTRACTORS = {**_BOTH, "silent": False, "skipFirstNRows": 0}
OUTPUTTERS = {**_BOTH, "dateTimeFormat": "O", "outputHeader": False}
_KINDS = {"quoting": bool, "silent": bool, "outputHeader": bool, "skipFirstNRows": int}


def _codec(name: str | int) -> str:
    """Return Python's name of an encoding, or of a page of codes; '' if there is none."""
    try:
        return codecs.lookup(f"cp{name}" if isinstance(name, int) else name).name
    except LookupError:
        return ""


class UdoArguments:
    """Reads what stands after USING."""

    def value(self, tree: Any, scope: Scope) -> Value:
        """Return an expression, translated."""
        raise NotImplementedError

    def name(self, tree: Any) -> str:
        """Return a name of the script."""
        raise NotImplementedError

    def fail(self, node: Any, what: str, hint: str, **facts: object) -> NoReturn:
        """Raise UsqlError."""
        raise NotImplementedError

    def constant(self, tree: Any, what: str) -> Any:
        """Return the value of an expression that names no column."""
        held = self.value(tree, NOTHING)
        if held.literal is not None or held.sql == "NULL":
            return held.literal
        return self.evaluated(tree, held)

    def evaluated(self, tree: Any, held: Value) -> Any:
        """Return what DuckDB makes of an expression without columns."""
        raise NotImplementedError

    def udo(self, tree: Any, defaults: dict[str, Any], owner: str) -> dict[str, Any]:
        """Return the arguments of a built-in extractor or outputter by name."""
        kind = self._kind(tree, owner)
        options = dict(defaults)
        if kind == "Tsv":
            options["delimiter"] = "\t"
        arguments = tree.children[1]
        for argument in [] if arguments is None else arguments.children:
            if argument.data != "named":
                if kind == "Text" and argument is arguments.children[0]:
                    options["delimiter"] = self._option(argument, "delimiter", argument)
                    continue
                self.fail(argument, f"An argument of {owner}.{kind} has no name", "Write it as name: value.")
            name = self.name(argument.children[0])
            if name not in defaults or (name == "delimiter" and kind != "Text"):
                hint = (
                    f"Write {owner}.Text(delimiter: …)."
                    if name == "delimiter"
                    else "Write one of those, or leave it out."
                )
                near = difflib.get_close_matches(name, list(defaults), 1)
                known = ", ".join(sorted(defaults))
                hint = f"Write {near[0]}." if near and name != "delimiter" else hint
                self.fail(argument, f"{owner}.{kind} has no argument {name!r}", hint, arguments=known)
            options[name] = self._option(argument, name, argument.children[1])
        return options

    def _kind(self, tree: Any, owner: str) -> str:
        word = "extractor" if owner == "Extractors" else "outputter"
        callee = tree.children[0] if tree.data == "call" else None
        if callee is not None and callee.data == "member" and callee.children[0].data == "column_name":
            name, kind = self.name(callee.children[0].children[0]), self.name(callee.children[1])
            if name == owner and kind in ("Csv", "Tsv", "Text"):
                return kind
            if name in ("Extractors", "Outputters"):
                known = f"{owner}.Csv(), {owner}.Tsv() and {owner}.Text()"
                self.fail(tree, f"There is no {name}.{kind} for that", f"Write one of {known}.")
        hint = f"Write {owner}.Text(delimiter: …), or read and write such files in a PythonScriptStep."
        self.fail(tree, f"An {word} of your own, in C#, can't be run here", hint)

    def _option(self, argument: Any, name: str, tree: Any) -> Any:
        if name == "encoding":
            return self._encoding(argument, tree)
        held = self.constant(tree, name)
        kind = _KINDS.get(name, str)
        if held is None and name in ("escapeCharacter", "nullEscape", "rowDelimiter", "charFormat"):
            return _BOTH[name]
        right = isinstance(held, kind) and not (kind is int and isinstance(held, bool))
        if not right or (kind is int and held < 0):
            words = {bool: "true or false", int: "a whole number", str: "a text or character"}[kind]
            self.fail(argument, f"{name} has to be {words}", f"Write {name}: …, with such a value.")
        if name in ("delimiter", "escapeCharacter", "rowDelimiter") and held != "\r\n" and len(held) != 1:
            self.fail(argument, f"{name} has to be one character", f"Write {name}: '…'.")
        if name == "charFormat" and held not in ("uint16", "string"):
            self.fail(argument, f"charFormat {held!r} is not known", 'Write "uint16" or "string".')
        return held

    def _encoding(self, argument: Any, tree: Any) -> str:
        if tree.data == "call" and tree.children[0].data == "member" and tree.children[1] is not None:
            named = self.name(tree.children[0].children[1]) == "GetEncoding" and tree.children[1].children[0]
            held = self.constant(named, "encoding") if named else None
            if isinstance(held, (str, int)) and _codec(held):
                return _codec(held)
            what = "That encoding is not known here" if named else "That is no encoding"
            self.fail(argument, what, 'Write one such as Encoding.GetEncoding("windows-1252").')
        names = []
        while tree.data == "member":
            names.append(self.name(tree.children[1]))
            tree = tree.children[0]
        if not names or names[0] not in CODECS:
            known = ", ".join(f"Encoding.{name}" for name in CODECS).replace("Encoding.ASCII", "Encoding.[ASCII]")
            self.fail(argument, "That encoding is not one of U-SQL", f"Write one of {known}.")
        return names[0]
