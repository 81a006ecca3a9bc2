"""The documentation keeps up with the code: the picture of the rooms, links, the navigation, and every public name."""

import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = {"reference/azureml.md", "reference/cli.md"}
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def load_rooms():
    spec = importlib.util.spec_from_file_location("rooms", DOCS / "_scripts" / "rooms.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def navigation(entries) -> list[str]:
    pages = []
    for entry in entries:
        for value in [entry] if isinstance(entry, str) else entry.values():
            pages += [value] if isinstance(value, str) else navigation(value)
    return pages


def config() -> dict:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def test_the_picture_of_the_rooms_is_that_of_the_code():
    rooms = load_rooms()
    assert rooms.PICTURE.read_text() == rooms.draw(rooms.read_house()), "Run `make docs`, and commit docs/rooms.svg"


def test_the_picture_needs_nothing_from_elsewhere():
    assert set(re.findall(r"https?://[^\s\"]+", (DOCS / "rooms.svg").read_text())) == {"http://www.w3.org/2000/svg"}


def test_arrows_are_counted_and_point_downwards():
    rooms = load_rooms()
    house = rooms.read_house()
    level = {room: number for number, (_, row) in enumerate(rooms.floors_of(house)) for room in row}
    assert house.imports["flows/engine", "core/model"] > 1
    assert [edge for edge in house.imports if level[edge[0]] >= level[edge[1]]] == []


def test_every_room_has_a_row_on_the_design_page():
    named = set(re.findall(r"^\| \**`([\w/]+)`", (DOCS / "design.md").read_text(), re.MULTILINE))
    short = {room.partition("/")[2] for room in load_rooms().read_house().rooms} - {""}
    assert sorted(short - {name.rstrip("/") for name in named}) == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    lost = []
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        target, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        file = (page.parent / target) if target else page
        generated = file.resolve().is_relative_to(DOCS) and str(file.resolve().relative_to(DOCS)) in GENERATED
        if not (generated or file.exists()):
            lost.append(link)
        elif anchor and not generated and "reference" not in file.parts and anchor not in anchors(file):
            lost.append(link)
    assert lost == []


def test_every_page_is_in_the_navigation_once():
    pages = {str(page.relative_to(DOCS)) for page in PAGES if "_scripts" not in page.parts} | GENERATED
    assert Counter(navigation(config()["nav"])) == Counter(pages)


def test_every_image_is_used():
    used = {(page.parent / link).resolve() for page in TEXTS for link in _LINK.findall(page.read_text())}
    images = {path for path in DOCS.rglob("*") if path.suffix in (".png", ".svg")}
    assert images - used == set()


def test_every_public_name_is_in_the_reference_once():
    stub = (ROOT / "src" / "stepwell" / "__init__.pyi").read_text()
    public = re.findall(r"\b(\w+) as \1\b", stub)
    text = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    assert Counter(re.findall(r"^::: stepwell\.(\w+)$", text, re.MULTILINE)) - Counter(["errors"]) == Counter(public)


def test_readme_is_one_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 140


def test_the_site_asks_no_other_host():
    theme = config()["theme"]
    assert theme["font"] is False
    assert {"extra_javascript", "extra_css"} & set(config()) == set()


def test_the_page_of_the_command_line_names_every_command():
    code = f"import sys; sys.path.insert(0, {str(DOCS / '_scripts')!r}); import cli_reference; print(cli_reference.cli_page())"
    page = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    help_text = subprocess.run(
        [sys.executable, "-m", "stepwell.deployments.cli", "--help"], capture_output=True, text=True, check=True
    ).stdout
    commands = re.findall(r"^  (\w+)  ", help_text.partition("Commands:")[2], re.MULTILINE)
    assert commands
    assert [name for name in commands if f"\n## stepwell {name}\n" not in page] == []


def test_every_line_of_the_threats_names_tests_that_are_there():
    page = (DOCS / "concepts" / "threats.md").read_text()
    rows = [
        line for line in page.splitlines() if line.startswith("|") and not re.match(r"\|( who may do what |-)", line)
    ]
    named = [re.findall(r"`([\w/.]+)::(test_\w+)`", row) for row in rows]
    assert rows
    assert [row for row, tests in zip(rows, named, strict=True) if not tests] == []
    texts = {file: (ROOT / "tests" / file) for tests in named for file, _ in tests}
    texts = {file: path.read_text() if path.is_file() else "" for file, path in texts.items()}
    lost = [f"{file}::{test}" for tests in named for file, test in tests if f"def {test}(" not in texts[file]]
    assert lost == []
