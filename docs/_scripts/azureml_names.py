"""The page of the Azure ML SDK's names, made from the table that carries them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "compat" / "src"))
from azureml import module_map, names  # type: ignore[import-not-found]
from azureml.modules import has_side_in_steps  # type: ignore[import-not-found]
from azureml_usage import usage_section

INTRODUCTION = """\
`pip install ./compat` in a checkout of Stepwell gives code of the Azure ML SDK v1 the package `azureml` that it imports: the SDK's
module paths and names, carried by Stepwell. It refuses to stand beside the SDK itself. Every name below can be imported; one that nothing
carries refuses when it is *used*, in one sentence, with what to do instead. This page is made from the table that the package itself reads.

Scripts of steps find the package wherever they run, and import every name there, too; those that say so can be *used* in a step, where they
stand for what a step may do: read the workspace, register datasets and models, but manage nothing. If the environment of a step has the SDK
itself installed, its scripts get that, and log to nobody: leave `azureml-core` out.
"""
WORDS = {"works": "works", "differs": "works with a difference", "refuses": "refuses when used"}


def azureml_page() -> str:
    """Return the page as Markdown: the count of each kind, and a row for each name."""
    modules: dict[str, list[str]] = {}
    for module, found in module_map.MODULES.items():
        for name in found:
            modules.setdefault(name, []).append(module)
    meanings = {name: names.meaning(name) for name in sorted(modules, key=str.lower)}
    counts = ", ".join(f"{list(meanings.values()).count(word)} {text}" for word, text in WORDS.items())
    lines = ["# Names of the Azure ML SDK", "", INTRODUCTION, f"Of {len(meanings)} names {counts}.", ""]
    lines += [usage_section(), "## All names", "", "| name | | |", "|---|---|---|"]
    for name, word in meanings.items():
        facts = names.NAMES[name]
        told = facts.instead if word == "refuses" else facts.differs
        where = ", also in steps" if word != "refuses" and has_side_in_steps(name) else ""
        lines.append(f"| `{name}` <br><small>{', '.join(modules[name])}</small> | {WORDS[word]}{where} | {told} |")
    return "\n".join([*lines, ""])
