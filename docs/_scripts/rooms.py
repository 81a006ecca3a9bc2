"""Draw docs/rooms.svg from the code: rooms as boxes on their floors, arrows as imports, counted.

`python docs/_scripts/rooms.py` writes the picture; `make docs` does so too.
"""

from __future__ import annotations

import ast
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "rooms.svg"
BANDS = {"deployments": "deployments", "flows": "flows", "blocks": "blocks", "core": "src/stepwell"}
"""The folders from the top down, by band."""

CAPTIONS = {
    "deployments": "how runs are asked for",
    "flows": "steps and pipelines, from definition to run",
    "blocks": "what a run stands on",
    "core": "values, keys, errors, the script",
}

Edge = tuple[str, str]


@dataclass
class House:
    """The rooms with their modules, and for two rooms how often modules of the one import modules of the other."""

    rooms: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    imports: Counter[Edge] = field(default_factory=Counter)

    def below(self, room: str) -> set[str]:
        """Return the rooms that a room imports from."""
        return {low for high, low in self.imports if high == room}


def band_of(room: str) -> str:
    """Return the band of a room, which is the first part of its name."""
    return room.partition("/")[0]


def read_house(root: Path = ROOT) -> House:
    """Return the rooms of the source tree; imports are counted wherever they stand, also by public names."""
    modules, house = _find_modules(root), House()
    homes = _public_homes(root)
    for room, path in modules.values():
        if path.name != "__init__.py":
            house.rooms[room].append(path.stem)
        for other in _imported(path, modules.keys(), homes):
            if modules[other][0] != room:
                house.imports[room, modules[other][0]] += 1
    return house


def _find_modules(root: Path) -> dict[str, tuple[str, Path]]:
    """Return room and file of each module by its dotted name."""
    found = {}
    for band, folder in BANDS.items():
        for path in sorted((root / folder).rglob("*.py")):
            inner = path.relative_to(root / folder)
            if band == "core" and (inner.parts[0] in BANDS or str(inner) == "__init__.py"):
                continue  # links to the other bands, and the list of public names
            package = ["stepwell"] if band == "core" else ["stepwell", band]
            name = ".".join([*package, *inner.with_suffix("").parts]).removesuffix(".__init__")
            found[name] = "/".join([band, *inner.parent.parts]), path
    return found


def _public_homes(root: Path) -> dict[str, str]:
    stub = ast.parse((root / "src" / "stepwell" / "__init__.pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"stepwell.{node.module}" for node in imports for alias in node.names}


def _imported(path: Path, known: object, homes: dict[str, str]) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                public = homes.get(alias.name, "") if node.module == "stepwell" else ""
                names.add(public or (full if full in known else str(node.module)))  # type: ignore[operator]
    return {name for name in names if name in known}  # type: ignore[operator]


def floors_of(house: House) -> list[tuple[str, list[str]]]:
    """Return the floors from the top down, each with its band: a room stands just above what it imports in its band."""

    @cache
    def height(room: str) -> int:
        return 1 + max((height(low) for low in house.below(room) if band_of(low) == band_of(room)), default=0)

    floors: dict[tuple[str, int], list[str]] = defaultdict(list)
    for room in house.rooms:
        floors[band_of(room), height(room)].append(room)
    order = sorted(floors, key=lambda key: (list(BANDS).index(key[0]), -key[1]))
    return [(band, sorted(floors[band, number])) for band, number in order]


def needed_edges(house: House) -> list[Edge]:
    """Return the arrows that no chain of other arrows implies."""

    @cache
    def reach(room: str) -> frozenset[str]:
        low = house.below(room)
        return frozenset(low.union(*(reach(other) for other in low)))

    return sorted(
        (high, low)
        for high, low in house.imports
        if not any(low in reach(other) for other in house.below(high) if other != low)
    )


# The picture ----------------------------------------------------------------------------------------------------------

BOX, HEIGHT, PITCH, LANE, GAP, MARGIN, HEAD = 146, 40, 84, 6, 34, 34, 26
Points = dict[str, tuple[float, float]]

STYLE = """
svg { --paper: #ffffff; --band: #f3f5f8; --box: #ffffff; --edge: #5b6b80; --ink: #1c2733; --soft: #5d6a79;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #14181d; --band: #1d232b; --box: #2a323d; --edge: #93a4ba; --ink: #eef2f6; --soft: #a9b6c5; } }
.paper { fill: var(--paper); } .band { fill: var(--band); }
.room rect { fill: var(--box); stroke: var(--edge); }
.name { fill: var(--ink); font-size: 15px; font-weight: 600; } .soft { fill: var(--soft); font-size: 12px; }
.folder { fill: var(--ink); font-size: 14px; font-weight: 700; }
.arrow { fill: none; stroke: var(--edge); } .head { fill: var(--edge); }
.count { fill: var(--ink); font-size: 11px; stroke: var(--band); stroke-width: 4px; paint-order: stroke; }
"""


def draw(house: House) -> str:
    """Return the picture as SVG; the same code gives the same text."""
    floors, edges = floors_of(house), needed_edges(house)
    rows, links = _with_lanes(floors, edges)
    _order(rows, links)
    across = _place(rows, links)
    level = {node: number for number, row in enumerate(rows) for node in row}
    down = _heights(floors)
    points = {node: (across[node], down[level[node]]) for row in rows for node in row}
    width = max(x for x, _ in points.values()) + BOX / 2 + MARGIN
    bands = list(_bands(floors, down, width))
    arrows = [*_arrows(house, edges, points, level)]
    boxes = [_box(room, house.rooms[room], *points[room]) for _, row in floors for room in row]
    size = f'width="{width:.0f}" height="{down[-1] + HEIGHT + MARGIN:.0f}"'
    view = f'viewBox="0 0 {width:.0f} {down[-1] + HEIGHT + MARGIN:.0f}"'
    label = "The rooms of Stepwell on their floors, and which room imports which"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} role="img" aria-label="{label}">',
            f"<style>{STYLE}</style>",
            '<rect class="paper" width="100%" height="100%"/>',
            *bands,
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def _with_lanes(floors: list[tuple[str, list[str]]], edges: list[Edge]) -> tuple[list[list[str]], list[Edge]]:
    """Return the rows with a lane wherever an arrow passes a floor, and the links between neighbouring rows."""
    rows = [list(row) for _, row in floors]
    level = {room: number for number, row in enumerate(rows) for room in row}
    links: set[Edge] = set()
    for high, low in edges:
        chain = [high, *(_lane(number, low) for number in range(level[high] + 1, level[low])), low]
        links |= set(pairwise(chain))
        for number in range(level[high] + 1, level[low]):
            if _lane(number, low) not in rows[number]:
                rows[number].append(_lane(number, low))
    return rows, sorted(links)


def _lane(row: int, target: str) -> str:
    """Return the name of the lane in which arrows to a room pass a row; arrows to one room share it."""
    return f"|{row}|{target}"


def _order(rows: list[list[str]], links: list[Edge]) -> None:
    """Order each row so that few arrows cross: sweeps by the mean place of neighbours, the best one kept."""
    best, fewest = [list(row) for row in rows], math.inf
    for sweep in range(60):
        downwards = sweep % 2 == 0
        for row in rows[1:] if downwards else rows[-2::-1]:
            place = {node: number for other in rows for number, node in enumerate(other)}
            size = {node: len(other) for other in rows for node in other}
            near = {node: [a if b == node else b for a, b in links if node == (b if downwards else a)] for node in row}
            mean = {
                node: sum((place[other] + 0.5) / size[other] for other in near[node]) / len(near[node])
                if near[node]
                else (place[node] + 0.5) / size[node]
                for node in row
            }
            row.sort(key=lambda node, mean=mean: (mean[node], node))  # type: ignore[misc]
        crossings = _crossings(rows, links)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    rows[:] = best


def _crossings(rows: list[list[str]], links: list[Edge]) -> int:
    place = {node: (level, number) for level, row in enumerate(rows) for number, node in enumerate(row)}
    between = defaultdict(list)
    for high, low in links:
        between[place[high][0]].append((place[high][1], place[low][1]))
    return sum((a - c) * (b - d) < 0 for pairs in between.values() for a, b in pairs for c, d in pairs) // 2


def _place(rows: list[list[str]], links: list[Edge]) -> dict[str, float]:
    """Return the middle of each node: near its neighbours' middle, in the row's order, without overlap."""
    x = {node: 400.0 + 120 * number for row in rows for number, node in enumerate(row)}
    near = defaultdict(list)
    for high, low in links:
        weight = 14 if high.startswith("|") and low.startswith("|") else 1  # long arrows run straight
        near[high] += [low] * weight
        near[low] += [high] * weight
    for turn in range(600):
        for row in rows if turn % 2 else rows[::-1]:
            wanted = [
                sum(x[other] for other in near[node]) / len(near[node]) if near[node] else x[node] for node in row
            ]
            offsets = [0.0]
            for left, right in pairwise(row):
                offsets.append(offsets[-1] + (_width(left) + _width(right)) / 2 + GAP)
            placed = _rising([want - offset for want, offset in zip(wanted, offsets, strict=True)])
            x.update({node: value + offset for node, value, offset in zip(row, placed, offsets, strict=True)})
    left = min(x[node] - _width(node) / 2 for node in x)
    return {node: value - left + MARGIN + 84 for node, value in x.items()}


def _width(node: str) -> float:
    return LANE if node.startswith("|") else BOX


def _rising(values: list[float]) -> list[float]:
    """Return the values nearest to these that never fall."""
    groups: list[list[float]] = []
    for value in values:
        groups.append([value])
        while len(groups) > 1 and sum(groups[-2]) / len(groups[-2]) > sum(groups[-1]) / len(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [sum(group) / len(group) for group in groups for _ in group]


def _heights(floors: list[tuple[str, list[str]]]) -> list[float]:
    down, y = [], 0.0
    for number, (band, _) in enumerate(floors):
        new = number == 0 or floors[number - 1][0] != band
        y += (HEAD + (0 if number == 0 else PITCH - HEAD + 34)) if new else PITCH
        down.append(y)
    return down


def _bands(floors: list[tuple[str, list[str]]], down: list[float], width: float) -> list[str]:
    found = []
    for band, folder in BANDS.items():
        levels = [y for (name, _), y in zip(floors, down, strict=True) if name == band]
        top, bottom = levels[0] - 18, levels[-1] + HEIGHT + 22
        found.append(
            f'<rect class="band" x="10" y="{top:.0f}" width="{width - 20:.0f}" height="{bottom - top:.0f}" rx="8"/>'
            f'<text class="folder" x="24" y="{top + 26:.0f}">{folder}/</text>'
            f'<text class="soft" x="24" y="{top + 44:.0f}">{escape(CAPTIONS[band])}</text>'
        )
    return found


def _box(room: str, modules: list[str], x: float, y: float) -> str:
    band, _, name = room.partition("/")
    name = name or (modules[0] if len(modules) == 1 else f"{BANDS[band]}/*.py")
    count = f"{len(modules)} module{'s' if len(modules) > 1 else ''}"
    return (
        f'<g class="room"><title>{escape(", ".join(modules))}</title>'
        f'<rect x="{x - BOX / 2:.0f}" y="{y:.0f}" width="{BOX}" height="{HEIGHT}" rx="5"/>'
        f'<text class="name" x="{x:.0f}" y="{y + 18:.0f}" text-anchor="middle">{escape(name)}</text>'
        f'<text class="soft" x="{x:.0f}" y="{y + 33:.0f}" text-anchor="middle">{count}</text></g>'
    )


def _arrows(house: House, edges: list[Edge], points: Points, level: dict[str, int]) -> list[str]:
    chains = {
        edge: [edge[0], *(_lane(row, edge[1]) for row in range(level[edge[0]] + 1, level[edge[1]])), edge[1]]
        for edge in edges
    }
    starts = _ports([(high, chains[high, low][1], low) for high, low in edges], points)
    ends = _ports([(low, chains[high, low][-2], "") for high, low in edges], points)
    return [
        _arrow(
            [
                (starts[high, chain[1]], points[high][1] + HEIGHT),
                *(points[node] for node in chain[1:-1]),
                (ends[low, chain[-2]], points[low][1]),
            ],
            house.imports[high, low],
            f"{high} imports from {low}",
        )
        for (high, low), chain in chains.items()
    ]


def _ports(ends: list[tuple[str, str, str]], points: Points) -> dict[Edge, float]:
    """Return where on the edge of its box each arrow starts or ends: side by side, in the order of their neighbours."""
    sides: dict[str, set[str]] = defaultdict(set)
    for room, neighbour, _ in ends:
        sides[room].add(neighbour)
    found = {}
    for room, neighbours in sides.items():
        order = sorted(neighbours, key=lambda node: (points[node][0], node))
        step = min(30.0, (BOX - 36) / max(1, len(order) - 1))
        for number, node in enumerate(order):
            found[room, node] = points[room][0] + (number - (len(order) - 1) / 2) * step
    return found


def _arrow(path: list[tuple[float, float]], count: int, title: str) -> str:
    stops: list[tuple[float, float]] = [path[0]]
    for x, y in path[1:-1]:
        stops += [(x, y), (x, y + HEIGHT)]
    stops.append((path[-1][0], path[-1][1] - 7))
    line = f"M{stops[0][0]:.1f} {stops[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(stops):
        middle = (y0 + y1) / 2
        line += f" C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
    x, y = path[-1]
    thick = 1 + 0.55 * math.log2(count)
    return (
        f'<g><title>{escape(title)}: {count}</title><path class="arrow" d="{line}" stroke-width="{thick:.2f}"/>'
        f'<path class="head" d="M{x:.1f} {y:.1f} l-4.5 -9 h9 z"/>'
        f'<text class="count" x="{path[0][0] + 3:.1f}" y="{path[0][1] + 14:.1f}">{count}</text></g>'
    )


def write_picture() -> None:
    """Write the picture if the code has another one than the file."""
    picture = draw(read_house())
    if not PICTURE.exists() or PICTURE.read_text() != picture:
        PICTURE.write_text(picture)


if __name__ == "__main__":
    write_picture()
