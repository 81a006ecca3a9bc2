"""Keys of files that a script reads itself: what they are in a step's key, and what its script finds."""

from __future__ import annotations

import json

import pytest
from stepwell import CommandStep, ParameterFile, PipelineData, PythonScriptStep
from stepwell.blocks.source.snapshot import source_tree
from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.errors import SnapshotException, UserErrorException
from stepwell.flows.keys.binding import bind
from stepwell.flows.keys.named_keys import as_seen, key_hint
from stepwell.flows.keys.source_directory import Source
from stepwell.model.digests import bytes_digest
from stepwell.model.tree import scan

TEXT = '{"seed": 3, "train": {"rate": 0.1, "layers": [{"size": 3}]}, "other": 1}'


class NoPackages:
    python_version = "3.11.9"

    def distributions_of(self, modules):
        return {}

    def places_of(self, modules):
        return {}

    def platform_of(self, distributions):
        return ""


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text("print()")
    (folder / "p.json").write_text(TEXT)
    return folder


def bound(step, code, **values):
    definition = step.define(step_id="a", producers={}, ids={})
    defaults = {p.name: p.default for p in definition.parameters}
    return bind(definition, Source(code, source_tree(code)), {**defaults, **values}, {}, NoPackages())


def script(code, *keys, **more):
    return PythonScriptStep("train.py", source_directory=code, params=[f"p.json:{key}" for key in keys], **more)


def command(code, *keys):
    return CommandStep(["cat", "p.json"], source_directory=code, params=[f"p.json:{key}" for key in keys])


@pytest.mark.parametrize("make", [script, command])
def test_a_step_is_keyed_by_the_values_of_its_keys_alone(code, make):
    before, whole = (
        bound(make(code, "train"), code),
        bound(make(code, "train", hash_paths=["p.json"]), code) if make is script else None,
    )
    (code / "p.json").write_text(TEXT.replace('"other": 1', '"other": 2, "more": {}').replace('"seed": 3', '"seed": 4'))
    assert bound(make(code, "train"), code).key == before.key
    assert whole is None or bound(make(code, "train", hash_paths=["p.json"]), code).key == whole.key
    (code / "p.json").write_text(TEXT.replace("0.1", "0.2").replace('"size": 3', '"size": 4'))
    after = bound(make(code, "train"), code)
    assert sorted(after.fingerprint.diff(before.fingerprint)) == [
        'parameter train.layers: [{"size": 3}] → [{"size": 4}]',
        "parameter train.rate: 0.1 → 0.2",
    ]
    assert "p.json" in after.declared
    named = bound(make(code, "train", "seed"), code).fingerprint.diff(after.fingerprint)
    assert sorted(named) == ["keys named of p.json: train → seed, train", "parameter seed is new: 3"]


def test_a_file_or_key_that_the_snapshot_lacks_is_said_so(code):
    step = script(code, "train.rate")
    (code / "p.json").write_text("{}")
    with pytest.raises(UserErrorException, match="has no key 'train.rate'"):
        bound(step, code)
    (code / ".amlignore").write_text("p.json\n")
    with pytest.raises(SnapshotException, match="not in its snapshot"):
        bound(step, code)


@pytest.mark.parametrize("earlier", [False, True])
def test_the_script_finds_its_keys_alone_with_the_values_of_the_run(code, tmp_path, earlier):
    (code / "link.json").symlink_to("p.json")
    call = bound(script(code, "train", "seed"), code, **{"train.rate": 0.3})
    tree, blobs = source_tree(code), tmp_path / "blobs"
    for entry in tree.entries:
        if entry.kind == "file":
            (blobs / entry.digest[:2]).mkdir(parents=True, exist_ok=True)
            (blobs / entry.digest[:2] / entry.digest).write_bytes((code / entry.path).read_bytes())
    snapshot = Snapshot(tree.digest, (code,)) if earlier else Snapshot(tree.digest, (blobs,), tree)
    seen, found = as_seen(call, snapshot, tmp_path / "keys")
    found.copy_to(tmp_path / "copy")
    expected = {"seed": 3, "train": {"rate": 0.3, "layers": [{"size": 3}]}}
    for name in ("p.json", "link.json"):
        assert json.loads((tmp_path / "copy" / name).read_text()) == expected
    assert seen.snapshot == found.digest == scan(tmp_path / "copy").digest and found.is_whole()
    assert (code / "p.json").read_text() == TEXT and bytes_digest(snapshot.read("p.json")) == bytes_digest(
        TEXT.encode()
    )


def test_a_step_without_keys_finds_the_snapshot_as_it_is(code, tmp_path):
    call, snapshot = bound(PythonScriptStep("train.py", source_directory=code), code), Snapshot("a" * 64, (code,))
    assert as_seen(call, snapshot, tmp_path) == (call, snapshot)


def test_a_script_that_misses_a_key_is_told_to_name_it(code):
    definition = script(code, "train.rate").define(step_id="a", producers={}, ids={})
    assert "'other'" in key_hint(definition, "Traceback …\nKeyError: 'other'") and "params" in key_hint(
        definition, "KeyError: 'other'\n"
    )
    assert not key_hint(definition, "KeyError: 3") and not key_hint(definition, "KeyError: 'a'\nmore")


def test_keys_of_a_file_in_a_pipeline_from_the_file_to_the_script(project):
    project.write("params.yaml", "train:\n  rate: 0.1 # a comment\n  depth: 2\nseed: 1\nother: 1\n")
    out, body = PipelineData("out"), "open(args[0], 'w').write(open('params.yaml').read())\n"
    settings = ParameterFile(project.source / "params.yaml")
    train = project.step("train.py", body, arguments=[out], outputs=[out], params=["train"])
    pipeline = project.pipeline(train, project.step("prepare.py", "", arguments=[settings["seed"]]))
    written = lambda **given: project.workspace.path_of(pipeline(**given)["train.py"]["out"]).read_text()  # noqa: E731
    assert written(**{"train.rate": 0.3}) == "train:\n  rate: 0.3\n  depth: 2\n"
    project.write("params.yaml", "train:\n  rate: 0.1\n  depth: 2\nseed: 2\nother: 2\n")
    settings = ParameterFile(project.source / "params.yaml")
    pipeline = project.pipeline(
        project.step("train.py", arguments=[out], outputs=[out], params=["train"]),
        project.step("prepare.py", arguments=[settings["seed"]]),
    )
    assert {
        one.step: (one.action, *one.why) for one in pipeline.plan(**{"train.rate": 0.3}) if one.action == "run"
    } == {"prepare.py": ("run", "parameter seed: 1 → 2")}
    summary = project.run(pipeline, train_rate=0.2)  # as Prefect calls it
    assert {step.id: step.why for step in summary.steps if step.happened == "ran"} == {
        "prepare.py": ("parameter seed: 1 → 2",), "train.py": ("parameter train.rate: 0.3 → 0.2",),
    }  # fmt: skip
    assert "undeclared" not in str(summary.warnings)
