"""Draw what a terminal shows of each step type's example: `python docs/_scripts/step_pictures.py [NAME ...]`.

A page of `docs/how-to/steps/` has its example as blocks of code that are titled with the names of their files, and, in a
block of `console`, the commands that run it after `$`. The files are laid in a folder, the commands run in a terminal of
a fresh home, and what they print becomes the page's picture, an SVG beside it.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console
from rich.text import Text

PAGES = Path(__file__).parents[1] / "how-to" / "steps"
COLUMNS, ROWS = 110, 60
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FONT = re.compile(r"\n *@font-face {.*?}(?=\n)", re.DOTALL)
_MOVES = re.compile(r"(\x1b\[\?25[lh]|\x1b\[\d*[ABCDGJK]|\r|\n)")


def files_and_commands(page: str) -> tuple[dict[str, str], list[str]]:
    """Return the files of a page's example by name, and the commands that run it."""
    files, commands = {}, list[str]()
    for language, title, text in _BLOCK.findall(page):
        if title:
            files[title] = text
        elif language == "console" and not commands:
            commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    return files, commands


def shown(command: str, folder: Path, variables: dict[str, str]) -> str:
    """Return what a terminal shows of the command; raise RuntimeError if it fails."""
    ours, theirs = pty.openpty()
    os.set_inheritable(theirs, True)
    process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=variables, stdout=theirs, stderr=theirs)
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    text = b"".join(pieces).decode(errors="replace").replace("\r\n", "\n")
    if process.wait():
        raise RuntimeError(f"{command} failed with {process.returncode}:\n{text}")
    return _last_screen(text).strip("\n")


def _last_screen(text: str) -> str:
    """Return what is left of a text on a terminal, on which lines were written again and cleared."""
    rows, row, again = [""], 0, False
    for piece in _MOVES.split(text):
        if piece == "\n":
            row, again = row + 1, False
            rows += [""] * (row + 1 - len(rows))
        elif piece == "\r":
            again = True
        elif match := re.fullmatch(r"\x1b\[(\d*)A", piece):
            row = max(0, row - int(match[1] or 1))
        elif piece.endswith("K") and piece.startswith("\x1b["):
            rows[row] = ""
        elif piece and not _MOVES.fullmatch(piece):
            rows[row], again = piece if again else rows[row] + piece, False
    return "\n".join(rows)


@contextmanager
def _kusto() -> Iterator[Mapping[str, str]]:
    """Let the tests' server stand in for a cluster while the block runs."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
    from kusto_server import kusto

    with kusto() as server:
        yield {"FLATS_CLUSTER": server.url}


STAND_INS = {"kusto": _kusto}
"""What answers in place of services that nobody has at hand, by page, and the variables that its example needs for it."""


def draw(name: str) -> Path:
    """Run the example of a page, and draw it; return the picture's path."""
    files, commands = files_and_commands((PAGES / f"{name}.md").read_text())
    if "pipeline.py" not in files or not commands:
        raise SystemExit(f"{name}.md has no block titled pipeline.py, or no console block with commands")
    stand_in = STAND_INS[name]() if name in STAND_INS else nullcontext({})
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as place, stand_in as told:
        variables = {
            **os.environ,
            **told,
            "STEPWELL_HOME": home,
            "COLUMNS": str(COLUMNS),
            "LINES": str(ROWS),
            "TERM": "xterm-256color",
        }
        variables["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), variables["PATH"]])
        folder = Path(place) / name
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
        try:
            for command in commands:
                console.print(Text(f"$ {command}", style="bold"))
                plain = shown(command, folder, variables).replace(home, "~/.stepwell").replace(place, "~")
                console.print(Text.from_ansi(_RUN_ID.sub(lambda match: match[0][:8], plain)))
        finally:
            subprocess.run(["stepwell", "server", "stop"], env=variables, check=False, capture_output=True)
    target = PAGES / f"{name}.svg"
    svg = console.export_svg(title=name, unique_id=name)
    target.write_text(_FONT.sub("", svg))  # no request to another host
    return target


if __name__ == "__main__":
    for page in sys.argv[1:] or sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "index"):
        print(draw(page))
