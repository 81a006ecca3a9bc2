"""The graph of a run's steps as SVG, which takes its colours from the page that it stands in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from stepwell.flows.runs.summary import StepSummary

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 168, 46, 52, 18, 8
_FEW, _MOST = 40, 150
_LONGEST = 22


class Box(NamedTuple):
    """A step, or several that wait for the same and that the same wait for, with what happened to them."""

    names: tuple[str, ...]
    happened: str
    before: tuple[int, ...]
    """The numbers of the boxes that it waits for."""

    @property
    def label(self) -> str:
        """What stands in the box."""
        return self.names[0] if len(self.names) == 1 else f"{len(self.names)} steps"


def boxes_of(steps: Sequence[StepSummary]) -> list[Box]:
    """Return the boxes of a graph, those that others wait for first; beyond a few steps, alike ones share a box."""
    known = {step.id for step in steps}
    before = {step.id: tuple(one for one in dict.fromkeys(step.upstream) if one in known) for step in steps}
    after: dict[str, list[str]] = {step: [] for step in before}
    for name, others in before.items():
        for other in others:
            after[other].append(name)
    groups: dict[object, list[StepSummary]] = {}
    for step in steps:
        alike = (before[step.id], tuple(after[step.id]), step.happened)
        groups.setdefault(alike if len(steps) > _FEW else step.id, []).append(step)
    home = {step.id: number for number, group in enumerate(groups.values()) for step in group}
    return [
        Box(
            tuple(step.id for step in group),
            group[0].happened,
            tuple(dict.fromkeys(home[one] for one in before[group[0].id])),
        )
        for group in groups.values()
    ]


def graph(steps: Sequence[StepSummary], colours: Mapping[str, str]) -> tuple[Markup, int]:
    """Return the graph, and how many boxes it leaves out; `colours` are the classes by what happened."""
    boxes = boxes_of(steps)
    shown = boxes[:_MOST]
    places = _places(shown)
    wide = max((x for x, _ in places), default=0) + _WIDTH + _MARGIN
    high = max((y for _, y in places), default=0) + _HEIGHT + _MARGIN
    arrows = [
        _arrow(places[one], places[number])
        for number, box in enumerate(shown)
        for one in box.before
        if one < len(shown)
    ]
    drawn = [_box(place, box, colours.get(box.happened, "other")) for place, box in zip(places, shown, strict=True)]
    words = "; ".join(_words(box, boxes) for box in shown[:_FEW])
    start = Markup(
        '<svg class="graph" role="img" width="{w}" height="{h}" viewBox="0 0 {w} {h}" aria-label="{words}">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path class="tip" d="M0 0 L8 4 L0 8 z"/></marker></defs>'
    ).format(w=wide, h=high, words=f"Graph of the steps: {words}")
    return Markup("").join([start, *arrows, *drawn, Markup("</svg>")]), len(boxes) - len(shown)


def _words(box: Box, boxes: Sequence[Box]) -> str:
    waits = f" after {', '.join(boxes[one].label for one in box.before)}" if box.before else ""
    return f"{box.label} {box.happened}{waits}"


def _places(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """Return the place of each box: one column to the right of what it waits for."""
    columns = [0] * len(boxes)
    for _ in boxes:  # as often as the longest way could need; alike steps share a box, so the order may be any
        new = [1 + max((columns[one] for one in box.before if one < len(boxes)), default=-1) for box in boxes]
        if new == columns:
            break
        columns = new
    rows: dict[int, int] = {}
    places = []
    for column in columns:
        row = rows[column] = rows.get(column, -1) + 1
        places.append((_MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y)))
    return places


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> Markup:
    x1, y1, x2, y2 = start[0] + _WIDTH, start[1] + _HEIGHT // 2, end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    way = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
    return Markup('<path class="arrow" d="{}" marker-end="url(#tip)"/>').format(way)


def _box(place: tuple[int, int], box: Box, colour: str) -> Markup:
    x, y = place
    label = box.label if len(box.label) <= _LONGEST else f"{box.label[: _LONGEST - 1]}…"
    names = ", ".join(box.names[:_FEW]) + (f" and {len(box.names) - _FEW} more" if len(box.names) > _FEW else "")
    return Markup(
        '<g class="box {colour}"><title>{names}: {happened}</title>'
        '<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'
        '<text x="{middle}" y="{upper}">{label}</text><text class="happened" x="{middle}" y="{lower}">{happened}</text></g>'
    ).format(
        colour=colour,
        names=escape(names),
        happened=box.happened,
        x=x,
        y=y,
        width=_WIDTH,
        height=_HEIGHT,
        middle=x + _WIDTH // 2,
        upper=y + 20,
        lower=y + 37,
        label=label,
    )
