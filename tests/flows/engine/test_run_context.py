"""What a run looks up once: a source keeps its state, though files on which no step relies come and go."""

from __future__ import annotations

import pytest
from stepwell import CommandStep

from stepwell.errors import StepwellError
from stepwell.flows.engine.run_context import RunContext


@pytest.fixture
def context(project):
    found = RunContext(project.workspace, "run")
    yield found
    found.close()


def called(context, project, **more):
    step = project.step("s.py", "", **more)
    return context.call(project.pipeline(step).definition.steps[0], {}, {})


def kept(context, project):
    return set(context.store.snapshot(context.snapshots()[str(project.source)]).files())


@pytest.mark.parametrize("change", ["gone", "changed", "new"])
def test_a_snapshot_is_of_what_is_there_when_it_is_kept(context, project, change):
    swap = project.write(".s.py.swp", "1")
    call = called(context, project)
    if change == "new":
        project.write("more", "1")
    swap.unlink() if change == "gone" else swap.write_text("22")
    assert kept(context, project) == {"s.py"} | ({".s.py.swp"} if change != "gone" else set()) | (
        {"more"} if change == "new" else set()
    )
    again = context.with_snapshot(call)
    assert context.snapshot(again).digest == again.snapshot and context.snapshot(again).is_whole()
    assert again.key == call.key


@pytest.mark.parametrize("more", [{}, {"hash_paths": ["conf"]}])
def test_what_a_step_relies_on_may_not_change(context, project, more):
    project.write("conf/a.json", "1")
    called(context, project, **more)
    (project.source / ("conf/a.json" if more else "s.py")).unlink()
    with pytest.raises((StepwellError, OSError)):
        context.snapshots()


def test_a_command_relies_on_the_whole_folder(context, project):
    swap = project.write("swap", "1")
    step = CommandStep(["true"], name="c", source_directory=project.source)
    context.call(project.pipeline(step).definition.steps[0], {}, {})
    swap.unlink()
    with pytest.raises((StepwellError, OSError)):
        context.snapshots()


def test_a_listing_is_relied_on(context, project):
    project.write("data/a", "1")
    gone = project.write("data/swap", "1")
    call = called(context, project)
    context.store.observe(call.fingerprint, ["data/"])
    called(context, project)
    gone.unlink()
    with pytest.raises((StepwellError, OSError)):
        context.snapshots()


def test_an_input_that_has_a_swap_file_for_a_moment_did_not_change(project):
    store = project.workspace.get_default_datastore()
    (store.local_root / "in").mkdir(parents=True)
    (store.local_root / "in" / "a").write_text("1")
    (store.local_root / "in" / "gone").write_text("1")
    from stepwell.flows.engine import execution

    context = RunContext(project.workspace, "run")
    try:
        from stepwell.model.definitions import DataSource

        (store.local_root / "in" / "gone").unlink()
        artifact = context.artifact(DataSource(store.name, "in"))
        swap = store.local_root / "in" / ".a.swp"
        swap.write_text("x")
        looks = []
        plain = context.digest_data

        def looked(data):
            looks.append(1)
            found = plain(data)
            swap.unlink(missing_ok=True)
            return found

        context.digest_data = looked
        assert not execution._is_other(context, artifact) and len(looks) == 2
        (store.local_root / "in" / "a").write_text("22")
        assert execution._is_other(context, artifact)
    finally:
        context.close()


def test_what_was_damaged_in_the_store_is_kept_anew_and_told(context, project):
    project.write("big.bin", "x" * (1 << 20))
    called(context, project)
    digest = context.snapshots()[str(project.source)]
    (blob,) = (path for path in (context.store.root / "blobs").glob("*/*") if path.stat().st_size == 1 << 20)
    blob.unlink()
    blob.write_text("y" * (1 << 20))
    again, told = RunContext(project.workspace, "run"), []
    again.warn = told.append
    call = called(again, project)
    assert again.snapshots()[str(project.source)] == digest
    assert told == [f"Of the kept snapshot of {project.source}, big.bin was damaged: it was kept anew"]
    assert again.snapshot(call).is_whole()
    blob.unlink()  # from now on, somebody harms it while the run is at work
    with pytest.raises(StepwellError, match="gone or damaged"):
        again.snapshot(call)
    again.close()
