"""What a script reads undeclared counts: files, folders that it lists, files that are not there, files that move."""

from __future__ import annotations

from stepwell import PipelineData

WRITE = "open(args[0], 'w').write(found)\n"


def piped(project, body):
    out = PipelineData("out")
    return project.pipeline(project.step("s.py", body + WRITE, arguments=[out], outputs=[out]))


def written(project, pipeline):
    artifact = pipeline()["s.py"]["out"]
    return project.workspace.path_of(artifact).read_text()


def test_a_file_that_was_missing_and_appears_makes_the_step_run_again(project):
    pipeline = piped(
        project, "try:\n    found = open('config.json').read()\nexcept FileNotFoundError:\n    found = 'default'\n"
    )
    assert written(project, pipeline) == "default"
    assert project.happened(pipeline) == {"s.py": "reused"}
    project.write("config.json", "mine")
    [decision] = pipeline.plan()
    assert decision.action == "run" and "config.json" in decision.why[0]
    assert written(project, pipeline) == "mine"


def test_a_folder_that_the_script_lists_counts_by_its_names(project):
    project.write("data/a.csv", "a")
    body = "import glob\nfound = ''.join(open(f).read() for f in sorted(glob.glob('data/*.csv')))\n"
    pipeline = piped(project, body)
    assert written(project, pipeline) == "a"
    assert project.happened(pipeline) == {"s.py": "reused"}
    project.write("data/b.csv", "b")
    assert written(project, pipeline) == "ab"


def test_a_file_that_changes_while_the_step_runs_gives_no_later_hit(project, tmp_path):
    side = tmp_path / "side.txt"
    side.write_text("A")
    body = f"side = {str(side)!r}\nfound = open(side).read()\nopen(side, 'w').write('B')\n"
    pipeline = piped(project, body)
    assert written(project, pipeline) == "A"
    assert pipeline.plan()[0].action == "run"
    assert written(project, pipeline) == "B"


def test_reads_of_steps_that_share_a_script_are_all_remembered(project):
    for name in "abcdefgh":
        project.write(f"{name}.txt", "1")
    outs = [PipelineData(f"out_{name}") for name in "abcdefgh"]
    body = "found = open(args[1]).read()\n" + WRITE
    project.script("s.py", body)
    steps = [
        project.step("s.py", name=n, arguments=[o, f"{n}.txt"], outputs=[o])
        for n, o in zip("abcdefgh", outs, strict=True)
    ]
    pipeline = project.pipeline(*steps)
    pipeline()
    pipeline()  # every step now knows what its duplicates read
    assert set(project.happened(pipeline).values()) == {"reused"}
    for name in "abcdefgh":
        project.write(f"{name}.txt", "2")
    results = pipeline()
    assert [project.workspace.path_of(results[n][f"out_{n}"]).read_text() for n in "abcdefgh"] == ["2"] * 8
