"""A pipeline as a picture: what a notebook shows when a Pipeline is the value of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from stepwell.model.definitions import PipelineDefinition

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 170, 40, 60, 24, 12


def draw(pipeline: PipelineDefinition) -> str:
    """Return the pipeline as SVG: a box per step, an arrow for each thing it waits for, from left to right."""
    places = _places(pipeline)
    wide = max((x for x, _ in places.values()), default=0) + _WIDTH + _MARGIN
    high = max((y for _, y in places.values()), default=0) + _HEIGHT + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" font-family="sans-serif" font-size="13">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#667"/></marker></defs>',
    ]
    parts += [_arrow(places[before], places[step.id]) for step in pipeline.steps for before in step.upstream]
    parts += [_box(places[step.id], step.id + "[*]" * bool(step.each), step.type) for step in pipeline.steps]
    return "".join([*parts, "</svg>"])


def _places(pipeline: PipelineDefinition) -> Mapping[str, tuple[int, int]]:
    columns: dict[str, int] = {}
    rows: dict[int, int] = {}
    places = {}
    for step in pipeline.steps:
        column = columns[step.id] = 1 + max((columns.get(before, -1) for before in step.upstream), default=-1)
        row = rows[column] = rows.get(column, -1) + 1
        places[step.id] = (_MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y))
    return places


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + _WIDTH, start[1] + _HEIGHT // 2, end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return f'<path d="M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}" fill="none" stroke="#667" marker-end="url(#tip)"/>'


def _box(place: tuple[int, int], name: str, kind: str) -> str:
    x, y = place
    shown = name if len(name) <= 22 else name[:21] + "…"
    return (
        f"<g><title>{escape(f'{name} ({kind})')}</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#eef3fb" stroke="#4a6fa5"/>'
        f'<text x="{x + _WIDTH // 2}" y="{y + _HEIGHT // 2 + 5}" text-anchor="middle" fill="#223">{escape(shown)}</text></g>'
    )
