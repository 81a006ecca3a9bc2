"""Executed notebooks that steps left in their `outputs/`, as the page of a run shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from stepwell.model.nofollow import files_below, read_file

_LARGEST_NOTEBOOK = 4_000_000
_LONGEST_TEXT = 20_000


def executed_notebooks(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each executed notebook that a step left in its folder, and what it shows in Markdown."""
    for name in files_below(folder, "outputs"):
        path = f"outputs/{name}"
        if not name.endswith(".ipynb") or (folder / path).lstat().st_size > _LARGEST_NOTEBOOK:
            continue
        with suppress(
            OSError, ValueError, KeyError, TypeError, AttributeError
        ):  # whatever a step wrote under such a name
            notebook = json.loads(read_file(folder, Path(path)))
            if any(cell.get("execution_count") for cell in notebook["cells"]):
                yield name, notebook_markdown(notebook)


def notebook_markdown(notebook: Mapping[str, Any]) -> str:
    """Return a notebook in Markdown: its texts, code, and what its cells printed and showed."""
    blocks = []
    for cell in notebook["cells"]:
        source = _joined(cell["source"])
        blocks.append(_fenced(source, "python") if cell["cell_type"] == "code" else source)
        blocks += [shown for output in cell.get("outputs", ()) if (shown := _shown(output))]
    return "\n\n".join(block for block in blocks if block.strip())


def _shown(output: Mapping[str, Any]) -> str:
    if output["output_type"] == "stream":
        return _fenced(_joined(output["text"]), "text")
    if output["output_type"] == "error":
        return _fenced(f"{output['ename']}: {output['evalue']}", "text")
    data = output.get("data", {})
    if "image/png" in data:
        return f"![](data:image/png;base64,{''.join(_joined(data['image/png']).split())})"
    return _fenced(_joined(data["text/plain"]), "text") if "text/plain" in data else ""


def _fenced(text: str, language: str) -> str:
    text = text.rstrip("\n")
    cut = (
        text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}\n… {len(text) - _LONGEST_TEXT} more characters"
    )
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", cut)), default=0))
    return f"{fence}{language}\n{cut}\n{fence}" if cut else ""


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
