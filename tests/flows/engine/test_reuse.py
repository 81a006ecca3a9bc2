"""Plans say what would run and why, name the cause and only the cause, and what then happens is what they said."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from stepwell import OutputFileDatasetConfig, PipelineData, PipelineParameter
from stepwell.blocks.environments.packages import Packages
from stepwell.flows.engine.reuse import NEVER_RAN

ACTIONS = {"ran": "run", "reused": "reuse"}


def actions(pipeline, **parameters):
    return {decision.step: decision.action for decision in pipeline.plan(**parameters)}


def reasons(pipeline, step, **parameters):
    return next(decision.why for decision in pipeline.plan(**parameters) if decision.step == step)


# A random walk ------------------------------------------------------------------------------------------------------

LABELS = {
    "make": {"make script": "script make.py", "raw": "input raw", "mode": "variable MODE"},
    "train": {
        "train script": "script train.py", "module": "module helper.py", "config": "file config.json", "argument": "argument 3",
        "rate": "parameter rate", "version": "version", "package": "package fakelib", "table": "input table",
    },
    "report": {"report script": "script report.py", "model": "input model"},
}  # fmt: skip
CHOICES = {
    **{name: "012" for name in ("make script", "mode", "train script", "module", "config", "argument", "version", "package")},
    "report script": "012", "raw": ("a", "A", "b"), "rate": (1, 2, 3),
}  # fmt: skip


class Walk:
    """A pipeline of three steps, what it depends on, and a model of which results are known."""

    def __init__(self, project):
        self.project = project
        self.state = {name: values[0] for name, values in CHOICES.items()}
        self.known = {step: [] for step in LABELS}
        self.data = project.workspace.get_default_datastore()

    def build(self):
        """Return the pipeline for the present state."""
        state, project = self.state, self.project
        raw, table, model = self.data.path("raw.txt", "raw"), PipelineData("table"), PipelineData("model")
        (self.data.local_root / "raw.txt").write_text(state["raw"])
        project.write("helper.py", f"x = {state['module']}")
        project.write("config.json", state["config"])
        copy = "open(args[-1], 'w').write({})  # "
        make = project.step(
            "make.py", copy.format("open(args[0]).read().lower()") + state["make script"], name="make",
            arguments=[raw, table], inputs=[raw], outputs=[table], environment_variables={"MODE": state["mode"]},
        )  # fmt: skip
        lines = "try:\n    import fakelib\nexcept ImportError:\n    import helper\n"
        text = "open(args[0]).read() + args[1] + args[2] + open('config.json').read()"
        train = project.step(
            "train.py", lines + copy.format(text) + state["train script"], name="train", version=state["version"],
            arguments=[table, PipelineParameter("rate", 1), state["argument"], model], inputs=[table], outputs=[model],
            hash_paths=["config.json"],
        )  # fmt: skip
        shown = "open(args[0]).read()  # " + state["report script"]
        report = project.step("report.py", shown, name="report", arguments=[model], inputs=[model])
        return project.pipeline(make, train, report)

    def rows(self):
        """Return what each step's result depends on now."""
        s = self.state
        table = s["raw"].lower()
        model = table + str(s["rate"]) + s["argument"] + s["config"]
        full = {**s, "table": table, "model": model}
        return {step: {name: full[name] for name in names} for step, names in LABELS.items()}

    def expected(self):
        """Return what has to happen to each step."""
        return {step: "reused" if rows in self.known[step] else "ran" for step, rows in self.rows().items()}

    def check_reasons(self, step, why, hidden=()):
        """Check that the reasons are the differences to one of the nearest known results, each once, nothing else."""
        now = {name: value for name, value in self.rows()[step].items() if name not in hidden}
        differing = [{name for name in now if now[name] != then[name]} for then in self.known[step]]
        if not differing:
            assert why == (NEVER_RAN,)
            return
        nearest = [names for names in differing if len(names) == min(map(len, differing))]
        if hidden:  # the input's content decides too, but isn't known yet
            nearest = differing
        named = {
            name
            for name, label in LABELS[step].items()
            if any(w == label or w.startswith((label + " ", label + ":")) for w in why)
        }
        assert len(named) == len(why), why
        assert named in nearest, (why, nearest)

    def go(self):
        """Plan and run once, and compare both with the model."""
        pipeline, rate = self.build(), {"rate": self.state["rate"]}
        expected, decisions = self.expected(), {d.step: d for d in pipeline.plan(**rate)}
        summary = self.project.run(pipeline, **rate)
        happened = {step.id: step.happened for step in summary.steps}
        assert happened == expected
        unsure = False
        for step, input_name in (("make", ""), ("train", "table"), ("report", "model")):
            decision = decisions[step]
            assert decision.action in (("run", "depends") if unsure else ("run", "reuse")), decision
            if decision.action == "depends":
                alike = [{**rows, input_name: 0} for rows in self.known[step]]
                assert {**self.rows()[step], input_name: 0} in alike
            else:
                assert ACTIONS[happened[step]] == decision.action, decision
            if decision.action == "run":
                self.check_reasons(step, decision.why, (input_name,) if unsure else ())
            if happened[step] == "ran":
                self.check_reasons(step, next(s.why for s in summary.steps if s.id == step))
            unsure = unsure or decision.action != "reuse"
        for step, rows in self.rows().items():
            if happened[step] == "ran":
                self.known[step].append(rows)


@pytest.mark.parametrize("seed", [1, 2])
def test_on_a_random_walk_plan_run_and_model_agree(project, monkeypatch, seed):
    walk, randomly = Walk(project), random.Random(seed)
    monkeypatch.setattr(
        Packages,
        "distributions_of",
        lambda _, modules: {"fakelib": walk.state["package"]} if "fakelib" in modules else {},
    )
    walk.go()
    for _ in range(12):
        name = randomly.choice(sorted(CHOICES))
        walk.state[name] = randomly.choice([value for value in CHOICES[name] if value != walk.state[name]])
        walk.go()


def test_each_change_alone_is_the_only_reason(project, monkeypatch):
    walk = Walk(project)
    monkeypatch.setattr(
        Packages,
        "distributions_of",
        lambda _, modules: {"fakelib": walk.state["package"]} if "fakelib" in modules else {},
    )
    walk.go()
    for step, labels in LABELS.items():
        for name, label in labels.items():
            if name in CHOICES:
                before = walk.state[name]
                walk.state[name] = CHOICES[name][1] if name != "raw" else "b"
                decisions = {d.step: d for d in walk.build().plan(rate=walk.state["rate"])}
                walk.state[name] = before
                assert decisions[step].action == "run"
                assert len(decisions[step].why) == 1 and decisions[step].why[0].startswith(label)
                assert [d.step for d in decisions.values() if d.action == "run"] == [step]
    walk.build()
    assert set(walk.expected().values()) == {"reused"}


# The six probes -----------------------------------------------------------------------------------------------------


@pytest.fixture
def ten(project):
    """Return ten steps of one script: seven lower the case of an input each, two join, and a last one is materialized."""
    data = project.workspace.get_default_datastore()
    for i in range(7):
        (data.local_root / f"in{i}").write_text(f"a{i}")
    project.script(
        "work.py",
        """
        texts = [open(name).read().lower() for name in args[:-1]]
        open(args[-1] + ("/end" if args[-1].endswith("end") else ""), "w").write("+".join(texts))
        """,
    )

    def step(name, inputs, output):
        return project.step("work.py", name=name, arguments=[*inputs, output], inputs=inputs, outputs=[output])

    leaves = [PipelineData(f"leaf{i}") for i in range(7)]
    left, right, end = PipelineData("left"), PipelineData("right"), OutputFileDatasetConfig("end", (data, "results"))
    steps = [step(f"s{i}", [data.path(f"in{i}", f"raw{i}")], leaf) for i, leaf in enumerate(leaves)]
    steps += [step("left", leaves[:1], left), step("right", leaves[1:], right)]
    steps.append(step("end", [left, right], end))
    return project.pipeline(*steps), data.local_root


def test_six_probes_of_reuse(project, ten):
    pipeline, root = ten
    materialized = root / "results" / "end"

    def ran():
        planned = actions(pipeline)
        happened = project.happened(pipeline)
        assert all(planned[step] in (ACTIONS[what], "depends") for step, what in happened.items())
        return sorted(step for step, what in happened.items() if what == "ran")

    assert len(ran()) == 10
    first = materialized.read_text()
    assert first == "+".join(f"a{i}" for i in range(7))
    (root / "in0").write_text("b0")
    assert ran() == ["end", "left", "s0"]  # 1: one input changed
    assert materialized.read_text() == first.replace("a0", "b0")
    (root / "in0").write_text("a0")
    assert ran() == []  # 2: back to what it was, and so is the materialized file
    assert materialized.read_text() == first
    for path in [*root.glob("in*"), *project.source.rglob("*")]:
        os.utime(path)
    assert ran() == []  # 3: everything touched
    (root / "in0").write_text("A0")
    assert ran() == ["s0"]  # 4: an input changed but not what it leads to
    materialized.unlink()
    assert ran() == []  # 5: the last output deleted; the file is restored
    assert materialized.read_text() == first
    with (project.source / "work.py").open("a") as script:
        script.write("# a comment\n")
    assert len(ran()) == 10  # 6: a comment in the script


# Words and odd cases ------------------------------------------------------------------------------------------------


def test_a_plan_runs_nothing_and_keeps_nothing(project, chain):
    pipeline, _ = chain("a.py", "b.py")
    assert actions(pipeline) == {"a.py": "run", "b.py": "run"}
    assert not project.executions and not project.records()
    assert not list((project.workspace.store.root / "runs").glob("*/run.json"))


def test_what_waits_for_unknown_data_depends_and_says_on_what(project, chain):
    pipeline, _ = chain("a.py", "b.py", "c.py")
    project.run(pipeline)
    with (project.source / "a.py").open("a") as script:
        script.write("# new\n")
    assert actions(pipeline) == {"a.py": "run", "b.py": "depends", "c.py": "depends"}
    assert reasons(pipeline, "b.py") == ("a.py has yet to write a",)
    assert project.happened(pipeline) == {"a.py": "ran", "b.py": "reused", "c.py": "reused"}


def test_changed_files_of_an_input_folder_are_named(project):
    data = project.workspace.get_default_datastore()
    folder = data.local_root / "folder"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    raw = data.path("folder", "raw")
    pipeline = project.pipeline(project.step("read.py", "", arguments=[raw], inputs=[raw]))
    project.run(pipeline)
    (folder / "a").write_text("new")
    (folder / "b").unlink()
    (folder / "d").write_text("d")
    assert reasons(pipeline, "read.py") == ("input raw changed (a changed, d added, b removed)",)


def test_several_changes_are_all_named(project):
    rate = PipelineParameter("rate", 1)
    pipeline = project.pipeline(project.step("a.py", "", arguments=[rate]))
    project.run(pipeline)
    project.script("a.py", "# new")
    assert reasons(pipeline, "a.py", rate=2) == ("script a.py changed", "parameter rate: 1 → 2")


def test_equal_steps_run_once(project):
    outs = [PipelineData("out"), PipelineData("out")]
    steps = [
        project.step("a.py", "open(args[0], 'w')", name=f"s{i}", arguments=[out], outputs=[out])
        for i, out in enumerate(outs)
    ]
    pipeline = project.pipeline(*steps)
    assert actions(pipeline) == {"s0": "run", "s1": "reuse"}
    assert sorted(project.happened(pipeline).values()) == ["ran", "reused"]
    assert project.executions == {"a.py": 1}


def test_a_step_renamed_or_in_another_pipeline_is_reused(project):
    project.run(project.pipeline(project.step("a.py", "", name="old"), name="one"))
    assert project.happened(project.pipeline(project.step("a.py", name="new"), name="two")) == {"new": "reused"}


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda p: p.step("a.py", allow_reuse=False), "allow_reuse is False"),
        (lambda p: p.step("a.py"), "regenerate_outputs is set"),
    ],
)
def test_what_must_run_says_who_said_so(project, make, why):
    project.script("a.py")
    pipeline, regenerate = project.pipeline(make(project)), {"regenerate_outputs": why.startswith("regenerate")}
    for count in (1, 2):
        assert [(d.action, d.why) for d in pipeline.plan(**regenerate)] == [("run", (why,))]
        assert project.run(pipeline, **regenerate).steps[0].why == (why,)
        assert project.executions["a.py"] == count


def test_an_undeclared_read_is_warned_of_and_counts_from_then_on(project):
    project.write("secret.cfg", "1")
    outside = project.folder / "outside.txt"
    outside.write_text("1")
    body = f"open('secret.cfg').read(); open({str(outside)!r}).read()"
    pipeline = project.pipeline(project.step("a.py", body))
    summary = project.run(pipeline)
    assert len(summary.warnings) == 1
    assert "secret.cfg" in summary.warnings[0] and str(outside) in summary.warnings[0]
    assert project.happened(pipeline) == {"a.py": "reused"}
    for path in (project.source / "secret.cfg", outside):
        path.write_text("2")
        assert actions(pipeline) == {"a.py": "run"}
        (why,) = reasons(pipeline, "a.py")
        assert "read but not declared" in why and path.name in why
        assert project.happened(pipeline) == {"a.py": "ran"}
    for path in (project.source / "secret.cfg", outside):
        path.write_text("1")
    assert actions(pipeline) == {"a.py": "reuse"}


def test_a_result_that_was_tampered_with_runs_again_and_the_plan_says_so(project, chain):
    pipeline, _ = chain("a.py")
    project.run(pipeline)
    (record,) = project.records()
    record.write_bytes(record.read_bytes().replace(b'"step":"a.py"', b'"step":"b.py"'))
    assert reasons(pipeline, "a.py") == ("the kept record was damaged or forged",)
    assert project.happened(pipeline) == {"a.py": "ran"}
    (kept,) = [path for path in project.workspace.store.root.glob("trees/*/*/data") if path.is_file()]
    kept.chmod(0o644)
    kept.write_text("forged")
    assert "was damaged" in reasons(pipeline, "a.py")[0]
    assert project.happened(pipeline) == {"a.py": "ran"}
    assert Path(kept).read_text() == "a.py "
    assert project.happened(pipeline) == {"a.py": "reused"}


INCOMPLETE = "from stepwell.script.run import mark_incomplete; mark_incomplete('2 of 5 parts are missing')\nopen(args[0], 'w').write('a')"


def test_a_result_that_is_incomplete_is_kept_and_used_but_made_again_by_the_next_run(project):
    table = PipelineData("table")
    make = project.step("make.py", INCOMPLETE, name="make", arguments=[table], outputs=[table])
    use = project.step("use.py", "print(open(args[0]).read())", name="use", arguments=[table], inputs=[table])
    pipeline = project.pipeline(make, use)
    first = project.run(pipeline)
    run = project.workspace.get_run(first.run_id)
    assert run.find_step_run("make")[0].get_outputs()["table"].local_path.read_text() == "a"
    words = "is incomplete, so that the next run makes it again: 2 of 5 parts are missing"
    assert any(words in warning for warning in first.warnings)
    why = pipeline.plan()[0].why
    assert why[0].startswith("its result in ") and why[0].endswith(" is incomplete: 2 of 5 parts are missing")
    assert [(step.happened, step.why) for step in project.run(pipeline).steps][0] == ("ran", why)
    assert project.executions == {"make.py": 2, "use.py": 1}  # whose input came out as before
    whole = project.step("make.py", "open(args[0], 'w').write('a')", name="make", arguments=[table], outputs=[table])
    assert [project.happened(project.pipeline(whole))["make"] for _ in "12"] == ["ran", "reused"]


def test_equal_steps_of_one_run_share_a_result_that_is_incomplete(project):
    steps = []
    for name in "ab":
        table = PipelineData("table")
        steps.append(project.step("make.py", INCOMPLETE, name=name, arguments=[table], outputs=[table]))
    assert sorted(project.happened(project.pipeline(*steps)).values()) == ["ran", "reused"]
    assert project.executions == {"make.py": 1}
