"""`stepwell store` where results are shared."""

from __future__ import annotations

import json

import pytest
from keeping import commit, fingerprint
from typer.testing import CliRunner

from stepwell import Datastore, Model
from stepwell.blocks.store.shared.layout import record_name, tree_name
from stepwell.deployments.cli.main import app
from stepwell.errors import UserErrorException


@pytest.fixture
def store(workspace):
    def run(*words: str):
        return CliRunner().invoke(app, ["store", *words, "-w", workspace.name])

    return run


def test_results_are_pushed_counted_checked_and_pulled(store, workspace, tmp_path):
    Datastore.register(workspace, "team", f"file://{tmp_path}/team", shared=True).set_as_default()
    commit(workspace.store)
    commit(workspace.store, fingerprint(11))
    assert store("push").stdout == "2 shared, 0 waiting\n"
    told = store("status").stdout.splitlines()
    assert told[0].endswith("each record is written once, whoever else writes")
    assert told[1] == "2 results here, 2 shared (0 from others), 0 waiting"
    (facts,) = json.loads(store("status", "--json").stdout)
    assert (facts["here"], facts["shared"], facts["mode"]) == (2, 2, "on")
    assert store("verify", "--shared").stdout == "2 results checked, 0 damaged\n"
    workspace.store.remote.objects.put(record_name(fingerprint().key), b"{")
    checked = store("verify", "--shared")
    assert (checked.exit_code, checked.stdout.splitlines()[-1]) == (1, "2 results checked, 1 damaged")
    assert store("pull").stdout == "0 results fetched, 0 B\n"


def test_what_nobody_uses_is_collected_and_what_models_need_stays(store, workspace, tmp_path):
    Datastore.register(workspace, "team", f"file://{tmp_path}/team", shared=True).set_as_default()
    commit(workspace.store)
    (tmp_path / "model").write_bytes(b"weights")
    Model.register(workspace, tmp_path / "model", "net")
    store("push")
    objects = workspace.store.remote.objects
    place = objects.url
    assert store("gc", "--shared").stdout == f"Removed 0 results and 0 folders, 0 B, from {place}\n"
    would = store("gc", "--shared", "--older-than", "-1", "--dry-run").stdout.splitlines()
    assert would[0].startswith("Would remove 1 results") and objects.stat(record_name(fingerprint().key))
    told = store("gc", "--shared", "--older-than", "-1").stdout.splitlines()
    assert told[0].startswith("Removed 1 results") and "nothing names" in told[1]
    assert objects.stat(record_name(fingerprint().key)) is None
    (version,) = Model.list(workspace, "net")
    assert tree_name(version._block.digest) not in json.loads(objects.get("gc/condemned.json"))


def test_who_shares_nothing_is_told_how(store):
    failed = store("status")
    assert isinstance(failed.exception, UserErrorException)
    assert "set_as_default" in failed.exception.hint
