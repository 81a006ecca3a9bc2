"""Mapped steps: what one becomes when its list is known, a step for each item and one that joins what they write."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.flows.dynamic.findings import Told, Trees, entries_in, output_tree, read_finding
from stepwell.flows.parameters.values import Value, as_text, check
from stepwell.model.definitions import Each, InputPort, OutputPort, OutputSource, ParameterDefinition, StepDefinition
from stepwell.model.names import folder_name

MOST_ITEMS = 10_000
_LONGEST_NAME = 60


def unfold(
    store: Trees, step: StepDefinition, records: Mapping[str, Told], known: Container[str]
) -> tuple[StepDefinition, ...]:
    """Return the steps that a mapped step stands for: one for each item, and last the one that joins what they write.

    The joining step has the mapped step's id. `records` are those of the steps that tell the lists; of a skipped one there
    is none, and its list is empty. `known` are the ids that steps have already.
    """
    lists = [_items(store, step, each, records.get(each.items.step)) for each in step.each]
    names = _named_alike(step, lists)
    if len(names) > MOST_ITEMS:
        raise UserErrorException(
            f"The step {step.id!r} would run {len(names)} times, and a mapped step runs {MOST_ITEMS} times at most",
            {"list": step.each[0].items},
            "Put several items into each file or value of the list.",
        )
    steps = [
        _child(step, name, [(each, of[name]) for each, of in zip(step.each, lists, strict=True)]) for name in names
    ]
    ids = [one.id for one in steps]
    if taken := next((one for one in ids if one in known), ""):
        raise UserErrorException(
            f"The step {step.id!r} has an item whose step would be called {taken!r}, as another one is",
            hint="Rename that step.",
        )
    return (*steps, _joining(step, dict(zip(_folders(step, names), ids, strict=True))))


# Lists ------------------------------------------------------------------------------------------------------------------


def _items(store: Trees, step: StepDefinition, each: Each, record: Told | None) -> dict[str, Any]:
    """Return what each item gives, by the item's name."""
    if record is None:
        return {}
    found = read_finding(store, each.items, record)
    if not isinstance(found, list):
        raise UserErrorException(
            f"The step {step.id!r} is mapped over {each.items}, which is no list",
            {"found": type(found).__name__},
            "Let the step before it write or log a list.",
        )
    if each.parameter is not None:
        return _named([_value(each.parameter, item) for item in found], secret=each.parameter.secret)
    if each.items.kind == "files":
        return dict(zip(found, found, strict=True))
    return _listed(store, step, each, record, found)


def _listed(store: Trees, step: StepDefinition, each: Each, record: Told, names: list[Any]) -> dict[str, str]:
    """Return the files and folders of the output that a list in it names."""
    tree = output_tree(store, each.items, record)
    there = {entry.path[:end] for entry in tree.entries for end in _ends(entry.path)}
    missing = next((name for name in names if not isinstance(name, str) or name.strip("/") not in there), None)
    if missing is not None:
        raise UserErrorException(
            f"{each.items} lists {missing!r}, which is no file or folder of that output",
            {"step": step.id, "there": ", ".join(entries_in(tree)[:10])},
            "List paths that are relative to the output, or map a parameter over the list.",
        )
    paths = dict.fromkeys(name.strip("/") for name in names)
    return dict(zip(paths, paths, strict=True))


def _ends(path: str) -> list[int]:
    return [*(place for place, mark in enumerate(path) if mark == "/"), len(path)]


def _value(parameter: ParameterDefinition, item: Any) -> Value:
    if parameter.type == "str" and not isinstance(item, str):  # what has parts reaches the script as JSON
        item = json.dumps(item, sort_keys=True, ensure_ascii=False)
    return check(parameter, item)


def _named(values: Iterable[Value], *, secret: bool) -> dict[str, Value]:
    """Return the values by the names of their items: their texts if these are short, else their places in the list."""
    found: dict[str, Value] = {}
    for place, value in enumerate(values, 1):
        text = "" if secret else as_text(value)
        shows = 0 < len(text) <= _LONGEST_NAME and text.isprintable() and text[0] not in "{["
        name = text if shows else f"#{place}"
        found[f"{name} (#{place})" if name in found else name] = value
    return found


def _named_alike(step: StepDefinition, lists: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of the items, and give those of the other lists, which have them too, the same order.

    Values have no names that could be the same: they belong together by their places.
    """
    first, *others = lists
    for number, other in enumerate(others, 1):
        by_place = any(each.parameter is not None for each in (step.each[0], step.each[number]))
        if by_place and len(first) == len(other):
            lists[number].update(zip(list(first), list(other.values()), strict=True))  # type: ignore[index]
        elif by_place or first.keys() != other.keys():
            only = sorted(first.keys() ^ other.keys())
            raise UserErrorException(
                f"The lists that the step {step.id!r} is mapped over do not belong together",
                {str(each.items): len(of) for each, of in zip(step.each, lists, strict=True)}
                | ({} if by_place else {"only in one": ", ".join(only[:10])}),
                "Map it over lists of one length, or over outputs whose files have the same names.",
            )
    return list(first)


# Steps ------------------------------------------------------------------------------------------------------------------


def _child(step: StepDefinition, name: str, given: Iterable[tuple[Each, Any]]) -> StepDefinition:
    entries, values = dict[str, str](), dict(step.values)
    for each, what in given:
        if each.parameter is None:
            entries[each.input] = what
        else:
            values[each.parameter.name] = what
    return replace(
        step,
        id=f"{step.id}[{name}]",
        name=f"{step.name}[{name}]",
        inputs=tuple(replace(port, entry=entries.get(port.name, port.entry)) for port in step.inputs),
        outputs=tuple(_own(port) for port in step.outputs),
        run_after=step.upstream,
        values=values,
        each=(),
        run_if=(),
    )


def _own(port: OutputPort) -> OutputPort:
    """Return an output as one item's step has it: to its destination goes what all of them write."""
    return replace(port, destination=None, pipeline_output=None, register=None)


def _folders(step: StepDefinition, names: Iterable[str]) -> list[str]:
    """Return the paths of the items in the folders that join them: their own, or names made of them."""
    listed = list(names)
    paths = set(listed) if all(each.parameter is None for each in step.each) else set[str]()
    if any(name[:end] in paths for name in paths for end in _ends(name)[:-1]):  # a folder, and what is in it
        paths = set()
    return ["/".join(map(folder_name, name.split("/"))) if name in paths else folder_name(name) for name in listed]


def _joining(step: StepDefinition, ids: Mapping[str, str]) -> StepDefinition:
    """Return the step whose outputs are folders with what the items' steps wrote; `ids` are these, by their paths there."""
    inputs = [
        InputPort(f"{port.name}/{path}", OutputSource(item_step, port.name), f"{port.name}/{path}")
        for port in step.outputs
        for path, item_step in ids.items()
    ]
    return StepDefinition(
        id=step.id,
        name=f"{step.name}[*]",
        type="Join",
        source_directory="",
        inputs=tuple(inputs),
        outputs=step.outputs,
        run_after=tuple(ids.values()),
        run_after_skipped=True,
        rules=step.rules,
        joins=True,
    )
