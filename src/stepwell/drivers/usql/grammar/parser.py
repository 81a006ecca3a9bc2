"""The parser of U-SQL: read from tables, in a tenth of the time that making it of the rules takes."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from functools import lru_cache
from typing import Any

from stepwell.drivers.usql.grammar.rules import GRAMMAR

_LARKS = ("1.2", "1.3")  # whose tables are the same


@lru_cache(maxsize=1)
def parser() -> Any:
    """Return the parser, of the tables if they are of these rules and this Lark, else of the rules."""
    import lark

    from stepwell.drivers.usql.grammar import tables

    if digest() == tables.RULES and lark.__version__.rpartition(".")[0] in _LARKS:
        known = json.loads(zlib.decompress(base64.b85decode("".join(tables.TABLES.split()))))
        known["memo"] = _numbered(known["memo"])
        lalr = known["data"]["parser"]["parser"]
        lalr["tokens"] = _numbered(lalr["tokens"])
        lalr["states"] = {number: _numbered(actions) for number, actions in _numbered(lalr["states"]).items()}
        return lark.Lark._load_from_dict(**known)  # type: ignore[no-untyped-call]  # noqa: SLF001  (as modules that Lark writes do)
    return of_rules()


def of_rules() -> Any:
    """Return the parser, made of the rules."""
    import lark

    return lark.Lark(GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def digest() -> str:
    """Return what tells these rules from others."""
    return hashlib.sha256(GRAMMAR.encode()).hexdigest()


def _numbered(texts: dict[str, Any]) -> dict[int, Any]:
    """Return what JSON made texts of, with numbers again."""
    return {int(number): value for number, value in texts.items()}
