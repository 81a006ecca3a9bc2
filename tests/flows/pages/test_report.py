"""The report of a run: whole, safe, bounded, legible, and without a request to anywhere."""

from __future__ import annotations

import os
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from chromium import dom

from stepwell.blocks.server import connection, documents
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.errors import UserErrorException
from stepwell.flows.pages.report import report_html, write_report
from stepwell.model.fingerprint import Fingerprint, Row
from stepwell.model.records import Artifact, StepRecord

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}</title></style>"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c6360606000000004000160e5"
    "2b5a0000000049454e44ae426082"
)
NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a report fail that would start Prefect's server, or ask it."""

    def refuse(*_: object) -> str:
        raise AssertionError("A report needs no server")

    monkeypatch.setattr(connection, "ensure_server", refuse)
    monkeypatch.setattr(documents, "ensure_server", refuse)


class Page(HTMLParser):
    """The elements of a page, by their nesting."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self.feed(html)
        self.text = "".join(self._texts)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self._texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}.000+00:00"


def make(folder: Path, events: list[dict[str, Any]], **facts: Any) -> RunFolder:
    run = RunFolder(folder / "runs" / "r")
    run.path.mkdir(parents=True)
    run.describe({"id": "r", "number": 1, "name": "digits#1", "workspace": "w", "experiment": "e", **facts})
    for event in events:
        run.append(event)
    return run


def log(run: RunFolder, step: str, *events: dict[str, Any], text: str = "") -> None:
    folder = run.step_folder(step)
    (folder / "control" / "files").mkdir(parents=True)
    (folder / "logs").mkdir()
    (folder / "logs" / "70_driver_log.txt").write_text(text)
    (folder / "control" / "files" / "p.png").write_bytes(PIXEL)
    lines = [json.dumps({"scope": "step", "time": 1.0, **event}) for event in events]
    (folder / "control" / "events.jsonl").write_text("\n".join(lines))


def metric(name: str, value: Any, kind: str = "scalar") -> dict[str, Any]:
    return {"type": "metric", "name": name, "value": value, "kind": kind}


def defined(step: str, name: str) -> dict[str, Any]:
    return {
        "id": step,
        "type": "PythonScriptStep",
        "script": f"run{name}.py",
        "arguments": [[["text", "--rate"]], [["text", "x"], ["parameter", f"rate{name}"]]],
        "environment": {"requirements": [f"asked{name}"], "conda": []},
    }


def three_steps(folder: Path, name: str = "", **facts: Any) -> RunFolder:
    first, second, third = f"prepare{name}", f"train{name}", f"judge{name}"
    run = make(
        folder,
        [
            {"at": at(1), "status": "Running"},
            {"at": at(1), "step": first, "status": "waiting", "upstream": []},
            {"at": at(1), "step": second, "status": "waiting", "upstream": [first]},
            {"at": at(1), "step": third, "status": "waiting", "upstream": [second]},
            {"at": at(2), "step": first, "status": "starting", "why": ["the same as in digits#0"]},
            {"at": at(2), "step": first, "status": "reused", "saved": 4.0, "key": "k" * 64, "step_run_id": "s1"},
            {"at": at(3), "step": second, "status": "running", "step_run_id": "s2", "why": [f"parameter x{name}"]},
            {"at": at(7), "step": second, "status": "done", "seconds": 4.0},
            {"at": at(8), "step": third, "status": "running", "step_run_id": "s3"},
            {"at": at(9), "step": third, "status": "failed", "error": f"It failed{name}"},
            {"at": at(9), "status": "Failed", "warning": f"Beware{name}"},
        ],
        parameters={f"rate{name}": f"0.1{name}"},
        tags={f"tag{name}": f"yes{name}"},
        properties={"azureml.git.commit": f"abc{name}", "azureml.git.dirty": "True"},
        snapshots={f"/source{name}": "0" * 64},
        pipeline={"name": "digits", "steps": [defined(step, name) for step in (first, second)]},
        **facts,
    )
    losses = [metric(f"loss{name}", 1 / n) for n in range(1, 30)]
    table = metric(f"table{name}", {f"column{name}": [f"cell{name}", 2]}, "table")
    image = {"type": "image", "name": f"picture{name}", "value": "p.png"}
    log(run, "s2", *losses, table, metric(f"word{name}", f"text{name}"), image)
    log(run, "s3", text="\n".join(f"line {n} {name}" for n in range(200)))
    return run


def record(key: str) -> StepRecord:
    rows = (
        Row("python", "", "3.11.7"),
        Row("package", f"numpy{HOSTILE}", "2.0"),
        Row("script", f"train{HOSTILE}.py", "sha256:" + "1" * 64),
        Row("input", "data", "sha256:" + "2" * 64),
    )
    artifact = Artifact("store", f"azureml/{HOSTILE}", "3" * 64, 2048, kept=True)
    return StepRecord(key, "s", Fingerprint(rows), {"model": artifact}, "r", "s1", at(1), 1.0)


def check_safe(page: Page) -> None:
    assert {tag for tag, _ in page.found} & {"script", "iframe", "object", "embed", "link", "base", "form"} == set()
    for tag, attributes in page.found:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/")), (tag, value)


def check_accessible(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False)), levels
    assert page.all("html")[0]["lang"] == "en"
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert all(image["alt"] for image in page.all("img"))
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    ids = {str(attributes["id"]) for _, attributes in page.found if "id" in attributes}
    assert {str(link["href"])[1:] for link in page.all("a")} <= ids


def test_a_report_holds_what_is_known_of_the_run(tmp_path: Path) -> None:
    page = Page(report_html(three_steps(tmp_path), record, NOW))
    check_safe(page)
    check_accessible(page)
    for words in (
        "1 ran, 1 reused, 1 failed (4.0 s saved)", "the same as in digits#0", "parameter x", "It failed", "line 199",
        "train: loss", "29 values from 0.03448 to 1, the last 0.03448", "train: table", "cell", "train: picture",
        "rate", "abc with changes that are not committed", "/source", "package numpy", "3.11.7", "2.0 kB", "tag: yes",
        "run.py --rate x{parameter:rate}", 'prepare, trainrequirements["asked"]',
        "sha256:" + "2" * 64, "Warning: Beware", "Started 2026-01-01 00:00:01 UTC",
    ):  # fmt: skip
        assert words in page.text, words
    assert "line 100 " not in page.text, "of a long log there is the end"
    labels = [str(svg["aria-label"]) for svg in page.all("svg")]
    assert any("train ran after prepare" in label for label in labels)
    assert any("train ran, from 2.0 s to 6.0 s" in label for label in labels)


def test_whatever_scripts_write_stays_text(tmp_path: Path) -> None:
    page = Page(report_html(three_steps(tmp_path, HOSTILE), record, NOW))
    check_safe(page)
    check_accessible(page)
    assert f"train{HOSTILE}: loss{HOSTILE}" in page.text and f"line 199 {HOSTILE}" in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_no_request_leaves_a_report_and_nothing_in_it_runs(tmp_path: Path) -> None:
    html = report_html(three_steps(tmp_path), record, NOW)
    policy = [meta["content"] for meta in Page(html).all("meta") if "http-equiv" in meta]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style


@pytest.mark.parametrize(
    ("status", "words"),
    [("Running", "No step ran"), ("Canceled", "took"), ("Finished", "No step ran"), (None, "Not started yet")],
)
def test_runs_without_steps_have_a_report(tmp_path: Path, status: str | None, words: str) -> None:
    run = make(tmp_path, [{"at": at(1), "status": "Running"}, {"at": at(2), "status": status}] if status else [])
    page = Page(report_html(run, record, NOW))
    check_accessible(page)
    assert words in page.text


def test_a_run_at_work_is_shown_as_it_stands(tmp_path: Path) -> None:
    events = [
        {"at": at(0), "status": "Running"},
        {"at": at(10), "step": "a", "status": "running", "step_run_id": "s2"},
        {"at": at(0), "step": "b", "status": "waiting", "upstream": ["a"]},
    ]
    run = make(tmp_path, events)
    with run.alive():
        page = Page(report_html(run, record, NOW))
    assert "this is how it stood when the report was made" in page.text
    assert any("a running, from 10.0 s to 60.0 s" in str(svg["aria-label"]) for svg in page.all("svg"))


def test_a_cancelled_run_has_its_cancelled_steps(tmp_path: Path) -> None:
    events = [
        {"at": at(1), "status": "Running"},
        {"at": at(2), "step": "a", "status": "running", "step_run_id": "s2"},
        {"at": at(5), "status": "Canceled"},
    ]
    page = Page(report_html(make(tmp_path, events), record, NOW))
    assert "1 cancelled" in page.text and "■ cancelled" in page.text


def test_a_thousand_steps_make_a_page_of_bounded_size(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = [{"at": at(1), "status": "Running"}]
    for n in range(1000):
        step, before = f"step {n}", [f"step {n - 1}"] if n % 2 else []
        state = {"status": "failed", "error": "x" * 50_000} if n % 10 == 0 else {"status": "done", "seconds": 1.0}
        events += [
            {"at": at(1), "step": step, "status": "running", "step_run_id": f"s{n}", "upstream": before},
            {"at": at(2), "step": step, "why": ["y" * 50_000], **state},
        ]
    run = make(tmp_path, [*events, {"at": at(3), "status": "Failed"}])
    log(run, "s1", *(metric(f"m{n}", list(range(2000)), "list") for n in range(100)))
    log(run, "s3", *(metric(f"t{n}", {"a": list(range(5000))}, "table") for n in range(60)))
    html = report_html(run, record, NOW)
    assert len(html) < 4_000_000
    page = Page(html)
    assert "step 999" in page.text and "and 80 more failed steps" in page.text
    assert "and 4900 more rows" in page.text and "and 20 more metrics" in page.text


def test_secrets_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = three_steps(tmp_path, "-hunter2hunter2")
    monkeypatch.setenv("SOME_PASSWORD", "hunter2hunter2")
    html = report_html(run, record, NOW)
    assert "line 199 -***" in html
    assert "loss-***" in html and "/source-***" in html
    named = re.sub(r"(prepare|train|judge)-hunter2hunter2", "", html)
    assert "hunter2" not in named


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_stands_out_from_both_backgrounds_in_light_and_dark(tmp_path: Path) -> None:
    style = report_html(make(tmp_path, []), record, NOW).partition("<style>")[2]
    palettes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)]
    assert len(palettes) == 2 and palettes[0].keys() == palettes[1].keys()
    for palette in palettes:
        for name in palette.keys() - {"page", "card", "line"}:
            for ground in ("page", "card"):
                low, high = sorted((luminance(palette[name]), luminance(palette[ground])))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)


def test_numbers_that_cannot_be_drawn_make_gaps(tmp_path: Path) -> None:
    run = make(tmp_path, [{"at": at(1), "step": "a", "status": "done", "step_run_id": "s2", "seconds": 1.0}])
    odd = [1.0, {"$float": "NaN"}, {"$float": "Infinity"}, 10**400, 2.0, 3.0]
    log(run, "s2", metric("odd", odd, "list"), metric("none", [{"$float": "NaN"}] * 3, "list"))
    page = Page(report_html(run, record, NOW))
    assert "6 values from 1 to 3, the last 3" in page.text and "3 values, none of them a number" in page.text
    points = " ".join(str(line["points"]) for line in page.all("polyline"))
    assert "nan" not in points and "inf" not in points


def test_a_report_replaces_a_report_and_nothing_else(tmp_path: Path) -> None:
    run, path = make(tmp_path, []), tmp_path / "deep" / "report.html"
    assert write_report(run, record, path) == path
    write_report(run, record, path)
    other = tmp_path / "mine.html"
    other.write_text("<html>")
    with pytest.raises(UserErrorException, match="no report"):
        write_report(run, record, other)
    assert other.read_text() == "<html>"
    with pytest.raises(UserErrorException):
        write_report(run, record, other / "in a file.html")
    pipe = tmp_path / "pipe.html"
    os.mkfifo(pipe)
    for odd in (pipe, Path(os.devnull)):  # neither waited for nor replaced
        with pytest.raises(UserErrorException, match="no report"):
            write_report(run, record, odd)
    assert pipe.is_fifo() and Path(os.devnull).is_char_device()


def test_a_browser_shows_it_at_any_width_without_a_bar_below_and_without_a_complaint(tmp_path: Path) -> None:
    write_report(three_steps(tmp_path, "with a name that is quite long"), record, tmp_path / "report.html")
    frames = "".join(f'<iframe width="{width}" height="900" src="report.html"></iframe>' for width in (340, 800, 1400))
    measure = """<script>addEventListener("load", () => {
        document.title = [...document.querySelectorAll("iframe")].map(
            frame => frame.contentDocument.documentElement.scrollWidth + "/" + frame.contentDocument.querySelectorAll("section").length
        ).join(" ");
    })</script>"""
    (tmp_path / "frames.html").write_text(f"<html><head><title>?</title></head><body>{frames}{measure}</body></html>")
    flags = ("--allow-file-access-from-files", "--enable-logging=stderr", "--window-size=1500,3000")
    shown = dom(tmp_path / "browser", f"file://{tmp_path}/frames.html", *flags)
    title = shown.partition("<title>")[2].partition("</title>")[0]
    widths = [tuple(map(int, one.split("/"))) for one in title.split()]
    assert [width <= frame for (width, _), frame in zip(widths, (340, 800, 1400), strict=True)] == [True] * 3, title
    assert all(sections == 9 for _, sections in widths)
    assert ":CONSOLE" not in (tmp_path / "browser" / "chromium.log").read_text(errors="replace")


@pytest.mark.parametrize("odd", [None, [None], {"a": None}, "\ud800", 7, [["text"], 7, [["parameter", {}]]]])
def test_facts_that_somebody_edited_are_no_reason_to_have_no_report(tmp_path: Path, odd: Any) -> None:
    run = three_steps(tmp_path)
    facts = json.loads((run.path / "run.json").read_text())
    step = facts["pipeline"]["steps"][0]
    for name in facts:
        (run.path / "run.json").write_text(json.dumps({**facts, name: odd}))
        Page(report_html(run, record, NOW)).text.encode()
    for name in step:
        (run.path / "run.json").write_text(json.dumps({**facts, "pipeline": {"steps": [{**step, name: odd}]}}))
        Page(report_html(run, record, NOW)).text.encode()
