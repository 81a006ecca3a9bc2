"""Draws what a terminal shows as SVG, light or dark as the reader's system is: `tmux capture-pane -e -p | python docs/_scripts/terminal.py FILE`."""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style

_WIDTH, _HEIGHT, _MARGIN = 8.43, 20, 12
_STYLES = """
text{font:14px "DejaVu Sans Mono","Liberation Mono",Menlo,Consolas,monospace;white-space:pre;fill:#24292f}
.bg{fill:#f6f8fa}.b{font-weight:bold}.d{fill:#6e7781}.red{fill:#b3261e}.green{fill:#1a7f37}.yellow{fill:#7d5600}.cyan{fill:#0b6e75}
@media(prefers-color-scheme:dark){text{fill:#d7dce2}.bg{fill:#161b22}.d{fill:#8b949e}.red{fill:#ff7b72}.green{fill:#56d364}.yellow{fill:#e3b341}.cyan{fill:#56d4dd}}
"""
_COLORS = {1: "red", 2: "green", 3: "yellow", 6: "cyan"}


def drawn(text: str, title: str) -> str:
    """Return the picture of a terminal's text, which has its colors in ANSI's codes."""
    console = Console(width=1000, color_system="standard")
    lines = [*AnsiDecoder().decode(text.rstrip("\n $"))]
    columns = max(cell_len(line.plain.rstrip()) for line in lines)
    width, height = columns * _WIDTH + 2 * _MARGIN, len(lines) * _HEIGHT + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLES}</style>",
        f'<rect class="bg" width="{width:.0f}" height="{height}" rx="6"/>',
    ]
    for number, line in enumerate(lines):
        y, column = _MARGIN + 15 + number * _HEIGHT, 0
        for segment in line.render(console):
            cells = cell_len(segment.text)
            if segment.text.strip():
                x, length = _MARGIN + column * _WIDTH, cells * _WIDTH
                parts.append(
                    f'<text x="{x:.1f}" y="{y}" textLength="{length:.1f}"{_class(segment.style)}>{escape(segment.text)}</text>'
                )
            column += cells
    return "\n".join([*parts, "</svg>", ""])


def _class(style: Style | None) -> str:
    if style is None:
        return ""
    names = [name for name, wanted in (("b", style.bold), ("d", style.dim)) if wanted]
    names += [_COLORS[style.color.number]] if style.color and style.color.number in _COLORS else []
    return f' class="{" ".join(names)}"' if names else ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawn(sys.stdin.read(), " ".join(sys.argv[2:])), "utf-8")
