"""`python -m stepwell.drivers.usql.grammar.write_tables`, after a change of the rules: write `tables.py` anew."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

from stepwell.drivers.usql.grammar.parser import digest, of_rules

_WIDTH = 116


def main() -> None:
    """Write the module of the tables."""
    from lark.grammar import Rule
    from lark.lexer import TerminalDef

    data, memo = of_rules().memo_serialize([TerminalDef, Rule])
    data["options"].pop("cache_grammar", None)  # Lark 1.2 knows none
    held = json.dumps({"data": data, "memo": memo}, separators=(",", ":"))
    packed = base64.b85encode(zlib.compress(held.encode(), 9)).decode()
    lines = "\n".join(packed[at : at + _WIDTH] for at in range(0, len(packed), _WIDTH))
    about = '"""The tables of the parser, as `write_tables` makes them of the rules: JSON, packed."""'
    module = f'{about}\n\nRULES = "{digest()}"\nTABLES = """\n{lines}\n"""\n'
    Path(__file__).with_name("tables.py").write_text(module, encoding="utf-8")


if __name__ == "__main__":
    main()
