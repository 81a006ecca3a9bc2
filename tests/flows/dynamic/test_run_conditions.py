"""Steps that run on a condition: on metrics and outputs of steps before them, in plans and in runs."""

from __future__ import annotations

import pytest

from stepwell import PipelineData, metric


@pytest.fixture
def branches(project):
    """A pipeline whose branches depend on an accuracy: a release, what follows it, a repair, and a report on all."""
    model, released, sent, mended, told = map(PipelineData, ("model", "released", "sent", "mended", "told"))
    write = "open(args[-1], 'w').write('done')"
    train = project.step("train.py", "", name="train", arguments=[model], outputs=[model])
    release = project.step("release.py", write, name="release", arguments=[model, released], inputs=[model],
                           outputs=[released], run_if="train/accuracy > 0.9")  # fmt: skip
    send = project.step("send.py", write, name="send", arguments=[released, sent], inputs=[released], outputs=[sent])
    mend = project.step("mend.py", write, name="mend", arguments=[model, mended], inputs=[model], outputs=[mended],
                        run_if=[metric(train, "accuracy") <= 0.9, model.value("", "faults") != 0])  # fmt: skip
    tell = project.step("tell.py", """
        import os
        open(args[-1], 'w').write(' '.join('nothing' if os.path.isdir(path) else open(path).read() for path in args[:2]))
    """, name="tell", arguments=[sent, mended, told], inputs=[sent, mended], outputs=[told], run_after_skipped=True)  # fmt: skip
    pipeline = project.pipeline(train, release, send, mend, tell)

    def reach(accuracy, faults=1):
        project.script("train.py", f"""
            import json
            from stepwell import Run
            json.dump({{'faults': {faults}}}, open(args[0], 'w'))
            Run.get_context().log('accuracy', {accuracy})
        """)  # fmt: skip
        return pipeline

    return reach


def test_a_step_runs_if_its_condition_holds_and_what_depends_on_a_skipped_one_is_skipped_too(project, branches):
    pipeline = branches(0.95)
    words = {one.step: one.why for one in pipeline.plan() if one.action == "depends"}
    assert words == {
        "release": ("it runs if train/accuracy > 0.9, which is not known yet",),
        "send": ("release may be skipped",),
        "mend": (
            "it runs if train/accuracy <= 0.9, which is not known yet",
            "it runs if train/model:faults != 0, which is not known yet",
        ),
    }
    summary = project.run(pipeline)
    happened = {step.id: step.happened for step in summary.steps}
    assert summary.status == "Finished"
    assert happened == {"train": "ran", "release": "ran", "send": "ran", "mend": "skipped", "tell": "ran"}
    skipped = {"mend": ("it runs if train/accuracy <= 0.9, and that is 0.95",)}
    assert {step.id: step.why for step in summary.steps if step.happened == "skipped"} == skipped
    plan = pipeline.plan()
    assert {one.step: one.why for one in plan if one.action == "skip"} == skipped
    assert {one.step for one in plan if one.action == "reuse"} == {"train", "release", "send", "tell"}
    pipeline = branches(0.8)
    result = pipeline()
    assert set(result) == {"train", "mend", "tell"}
    assert project.workspace.store.tree_path(result["tell"]["told"].digest).read_text() == "nothing done"
    assert {one.step: one.why for one in pipeline.plan() if one.action == "skip"} == {
        "release": ("it runs if train/accuracy > 0.9, and that is 0.8",),
        "send": ("release was skipped",),
    }
