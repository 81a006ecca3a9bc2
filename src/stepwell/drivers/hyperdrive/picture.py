"""The picture of a sweep: parallel coordinates, as a drawing that needs nothing else."""

from __future__ import annotations

import math
from html import escape

from stepwell.drivers.hyperdrive.expressions import argument_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_STEP, _HEIGHT, _LEFT, _TOP = 150, 260, 70, 50
_GREY = "#b0b0b0"
_LONGEST = 18
_MOST_MARKS = 8
_HALO = 'stroke="white" stroke-width="3" paint-order="stroke"'


def parallel_coordinates(
    names: Sequence[str], rows: Sequence[tuple[str, Sequence[Any], float | None]], metric: str
) -> str:
    """Return an SVG with an axis for each name and one for the metric, and a line through the values of each row.

    `rows` have what is shown where the mouse points, their values and their metric; without one, their line is grey and
    ends before the last axis.
    """
    axes = [_Axis([row[1][index] for row in rows]) for index in range(len(names))]
    known = [value for *_, value in rows if value is not None and math.isfinite(value)]
    last = _Axis(known)
    width = 2 * _LEFT + _STEP * len(names)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT + 2 * _TOP}" width="{width}" '
        f'height="{_HEIGHT + 2 * _TOP}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for words, values, value in rows:
        told = value if value is not None and math.isfinite(value) else None
        places = [axis.place(one) for axis, one in zip(axes, values, strict=True)]
        places += [] if told is None else [last.place(told)]
        points = " ".join(f"{_LEFT + _STEP * index},{_y(place)}" for index, place in enumerate(places))
        colour = _GREY if told is None else _colour(last.place(told))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-opacity="0.8">'
            f"<title>{escape(words)}</title></polyline>"
        )
    for index, (name, axis) in enumerate([*zip(names, axes, strict=True), (metric, last)]):
        parts += _drawn(_LEFT + _STEP * index, name, axis)
    return "\n".join([*parts, "</svg>\n"])


class _Axis:
    """Where values stand on an axis, from 0 at the bottom to 1: numbers by size, others next to one another."""

    def __init__(self, values: Sequence[Any]) -> None:
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        self._numbers = numbers and bool(values)
        self._whole: list[int] = []
        if self._numbers:
            whole = sorted({value for value in values if isinstance(value, int)})
            self._whole = whole if len(whole) <= _MOST_MARKS and not any(isinstance(v, float) for v in values) else []
            self._low, self._high = float(min(values)), float(max(values))
            self._log = self._low > 0 and self._high / self._low >= 100
        else:
            self._options = list(dict.fromkeys(map(argument_text, values)))

    def place(self, value: Any) -> float:
        if not self._numbers:
            return self._spread(self._options.index(argument_text(value)), 0, len(self._options) - 1)
        if self._log:
            return self._spread(math.log(value), math.log(self._low), math.log(self._high))
        return self._spread(value, self._low, self._high)

    @staticmethod
    def _spread(value: float, low: float, high: float) -> float:
        return 0.5 if high <= low else (value - low) / (high - low)

    def marks(self) -> list[tuple[float, str]]:
        if not self._numbers:
            return [(self.place(option), option) for option in self._options]
        if self._whole:
            return [(self.place(value), str(value)) for value in self._whole]
        count = 1 if self._high <= self._low else 4
        found = []
        for index in range(count + 1 if count > 1 else 1):
            share = index / count
            value = (
                math.exp(math.log(self._low) + share * (math.log(self._high) - math.log(self._low)))
                if self._log
                else self._low + share * (self._high - self._low)
            )
            found.append((share if count > 1 else 0.5, f"{value:.4g}"))
        return found


def _drawn(x: int, name: str, axis: _Axis) -> list[str]:
    ticks = [
        f'<text x="{x - 5}" y="{_y(place) + 4:g}" text-anchor="end" {_HALO}>{escape(_short(text))}</text>'
        for place, text in axis.marks()
    ]
    return [
        f'<line x1="{x}" y1="{_y(0)}" x2="{x}" y2="{_y(1)}" stroke="#333"/>',
        f'<text x="{x}" y="{_TOP - 18}" text-anchor="middle" font-weight="bold">{escape(_short(name))}</text>',
        *ticks,
    ]


def _y(place: float) -> float:
    return round(_TOP + _HEIGHT * (1 - place), 1)


def _colour(place: float) -> str:
    """Return a colour between blue and red, the same for everybody who sees any."""
    return f"hsl({round(230 - 220 * place)},75%,45%)"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
