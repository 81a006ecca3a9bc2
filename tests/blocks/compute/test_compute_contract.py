"""Every kind of compute target through the same cases: what a step sees and leaves must not depend on where it runs."""

from __future__ import annotations

import json
import os
import signal
import textwrap

import pytest
from waiting import eventually, in_time

from stepwell import CommandStep, DataPath, Dataset, PipelineData, PipelineParameter
from stepwell.blocks.compute.compute_target import all_kinds

pytest.importorskip("distributed")


def local(request, workspace):
    return "local"


def dask(request, workspace):
    from stepwell.blocks.compute.dask.dask_compute import DaskCompute

    DaskCompute(max_nodes=2, min_nodes=1, cpus_per_node=2).attach_to(workspace, "workers")
    return "workers"


def docker(request, workspace):
    from stepwell.blocks.compute.docker.docker_compute import DockerCompute

    DockerCompute(image=request.getfixturevalue("docker_engine").image).attach_to(workspace, "docker")
    return "docker"


def cuda(request, workspace):
    from stepwell.blocks.compute.dask.cuda_compute import CudaCompute

    CudaCompute(address=request.getfixturevalue("gpu_workers")).attach_to(workspace, "gpus")
    return "gpus"


@pytest.fixture(scope="module")
def gpu_workers():
    """The address of workers that declare GPUs, for all tests here."""
    import fake_gpu

    from stepwell.blocks.compute.dask.clusters.cluster import close_all

    with fake_gpu.workers("0,1", "1,0") as address:
        yield address
        close_all()


def spark(request, workspace):
    return "spark"  # whose Spark starts when a script asks for it, which none of these does


TARGETS = {
    "LocalCompute": local,
    "DaskCompute": dask,
    "DockerCompute": docker,
    "CudaCompute": cuda,
    "SparkCompute": spark,
}


@pytest.fixture(params=list(TARGETS))
def target(request, workspace):
    return TARGETS[request.param](request, workspace)


def test_every_kind_of_target_stands_here():
    assert {kind.__name__ for kind in all_kinds() if kind.default_name} == set(TARGETS)


ODD = ["", "a b", "'q'", '"d"', "line\nbreak", "tab\t", "ünï→", "$HOME", "`x`", "*", "\\", "-c", "{payload}", "a=b"]


def outcome(project, pipeline, **parameters):
    summary = project.run(pipeline, **parameters)
    (step,) = [s for s in summary.steps if s.id == pipeline.definition.steps[-1].id]
    return summary, step, project.workspace.get_run(summary.run_id).find_step_run(step.id)[0]


def read(project, step_run, name):
    return step_run.get_output_data(name).local_path.read_text()


def test_datasets_arrive_as_paths_and_as_what_they_are(project, target):
    store = project.workspace.get_default_datastore()
    for name in ("a/1.csv", "a/2.csv", "b/3.csv"):
        (store.local_root / name).parent.mkdir(exist_ok=True)
        (store.local_root / name).write_text(f"x\n{name}\n")
    some = Dataset.File.from_files([(store, "a/*.csv"), (store, "b/*.csv")])
    one = Dataset.File.from_files((store, "a/1.csv"))
    body = """
    import json, os
    from stepwell import Run
    inputs, told = Run.get_context().input_datasets, {}
    for name in ("mounted", "copied"):
        told[name] = sorted(os.path.relpath(os.path.join(at, leaf), inputs[name])
            for at, _, leaves in os.walk(inputs[name]) for leaf in leaves)
    told["one"] = open(os.environ["one"]).read()
    told["direct"] = inputs["direct"].to_path()
    told["read"] = [open(path).read() for path in inputs["direct"].download()]
    json.dump(told, open(args[0], "w"))
    """
    out = PipelineData("out")
    given = [
        some.as_named_input("mounted").as_mount(),
        some.as_named_input("copied").as_download(),
        one.as_named_input("one").as_mount(),
        some.as_named_input("direct"),
    ]
    project.write("d.py", f"import sys\nargs = sys.argv[1:]\n{textwrap.dedent(body)}")
    step = project.step("d.py", arguments=[out, *given], outputs=[out], compute_target=target)
    summary, _, step_run = outcome(project, project.pipeline(step))
    assert summary.headline.startswith("Finished"), summary.steps[0].error
    names = ["a/1.csv", "a/2.csv", "b/3.csv"]
    assert json.loads(read(project, step_run, "out")) == {
        "mounted": names,
        "copied": names,
        "one": "x\na/1.csv\n",
        "direct": [f"/{name}" for name in names],
        "read": [f"x\n{name}\n" for name in names],
    }
    assert summary.warnings == ()


def test_arguments_arrive_byte_for_byte(project, target):
    out = PipelineData("out")
    project.write("a.py", "import json, sys\njson.dump(sys.argv[2:], open(sys.argv[1], 'w'))")
    pipeline = project.pipeline(project.step("a.py", arguments=[out, *ODD], outputs=[out], compute_target=target))
    _, step, run = outcome(project, pipeline)
    assert step.happened == "ran", step.error
    assert json.loads(read(project, run, "out")) == ODD


def test_variables_inputs_and_outputs_are_where_the_step_is_told(project, target):
    data = project.workspace.get_default_datastore()
    (data.local_root / "raw").mkdir()
    (data.local_root / "raw" / "x.txt").write_text("mounted ")
    (data.local_root / "one.csv").write_text("downloaded ")
    rate, middle, out = PipelineParameter("rate", 5), PipelineData("middle"), PipelineData("out")
    mounted, copied = data.path("raw", "mounted").as_mount(), data.path("one.csv", "copied").as_download()
    project.write("a.py", "import sys, os\nos.makedirs(sys.argv[1])\nopen(sys.argv[1] + '/m', 'w').write('made ')")
    first = project.step("a.py", arguments=[middle], outputs=[middle], compute_target=target)
    project.write(
        "b.py",
        """
        import os, sys
        here, env = os.getcwd(), os.environ
        assert os.path.isdir('outputs') and os.path.isdir('logs') and os.path.isfile('pkg/inner.py')
        from pkg.inner import word
        assert env['AZUREML_DATAREFERENCE_mounted'] == sys.argv[1], env
        assert env['AZUREML_DATAREFERENCE_out'] == sys.argv[4]
        assert sys.argv[2].endswith('one.csv'), sys.argv[2]
        assert env['AML_PARAMETER_rate'] == '5' and env['WORD'] == 'a b'
        open('mess', 'w').write('the working directory is ours')
        open('outputs/kept.txt', 'w').write('kept')
        text = ''.join(open(p).read() for p in (sys.argv[1] + '/x.txt', sys.argv[2], sys.argv[3] + '/m'))
        open(sys.argv[4], 'w').write(text + word + env['AML_PARAMETER_rate'])
        """,
    )
    project.write("pkg/inner.py", "word = 'local module '")
    second = project.step(
        "b.py",
        arguments=[mounted, copied, middle, out],
        inputs=[mounted, copied, middle],
        outputs=[out],
        params={"rate": rate},
        environment_variables={"WORD": "a b"},
        compute_target=target,
    )
    summary, step, run = outcome(project, project.pipeline(first, second))
    assert step.happened == "ran", step.error
    assert read(project, run, "out") == "mounted downloaded made local module 5"
    assert run.get_file_names() == ["outputs/kept.txt"] and not summary.warnings
    kept = run.get_output_data("out").local_path
    assert kept.stat().st_uid == os.getuid()


def test_a_data_parameter_reaches_the_step(project, target):
    from stepwell import DataPathComputeBinding

    data = project.workspace.get_default_datastore()
    (data.local_root / "two").write_text("two")
    parameter, out = (PipelineParameter("path", DataPath(data, "two")), DataPathComputeBinding()), PipelineData("out")
    project.write("a.py", "import sys\nopen(sys.argv[2], 'w').write(open(sys.argv[1]).read())")
    step = project.step("a.py", arguments=[parameter, out], inputs=[parameter], outputs=[out], compute_target=target)
    _, step, run = outcome(project, project.pipeline(step))
    assert step.happened == "ran", step.error
    assert read(project, run, "out") == "two"


def test_logs_metrics_and_progress(project, target):
    project.write(
        "a.py",
        """
        import sys
        from stepwell import Run
        run = Run.get_context()
        run.log('loss', 0.5)
        run.log('loss', 0.25)
        assert run.id and run.experiment
        print('to stdout')
        print('to stderr', file=sys.stderr)
        print('secret is', __import__('os').environ['AML_PARAMETER_token'])
        """,
    )
    token = PipelineParameter("token", "", secret=True)
    pipeline = project.pipeline(project.step("a.py", params={"token": token}, compute_target=target))
    _, step, run = outcome(project, pipeline, token="s3cr3t-v4lue")
    assert step.happened == "ran", step.error
    assert run.get_metrics() == {"loss": [0.5, 0.25]}
    logs = {path.name: path.read_text() for path in (run.folder / "logs").iterdir()}
    assert logs["stdout.txt"].splitlines() == ["to stdout", "secret is ***"]
    assert logs["stderr.txt"].splitlines() == ["to stderr"]
    assert sorted(logs["70_driver_log.txt"].splitlines()) == ["secret is ***", "to stderr", "to stdout"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import sys; print('why', file=sys.stderr); sys.exit(3)", "failed with exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by signal 9"),
        ("print('nothing written')", "did not write 'out'"),
    ],
    ids=["exit code", "signal", "missing output"],
)
def test_failures_are_told(project, target, body, message):
    out = PipelineData("out")
    project.write("a.py", body)
    pipeline = project.pipeline(project.step("a.py", arguments=[out], outputs=[out], compute_target=target))
    _, step, _ = outcome(project, pipeline)
    assert step.happened == "failed" and message in step.error
    assert "why" not in body or "why" in step.error


def test_retries_with_a_delay(project, target):
    data = project.workspace.get_default_datastore()
    project.write("a.py", "import time\nprint('try')\nraise SystemExit(1)")
    pipeline = project.pipeline(project.step("a.py", compute_target=target, retries=2, retry_delay_seconds=0.1))
    summary, step, _ = outcome(project, pipeline)
    events = [e for e in project.workspace.get_run(summary.run_id).folder.journal() if e.get("status") == "retrying"]
    assert step.happened == "failed" and len(events) == 2


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"


SLEEPER = """
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(900)'])
    print('pids', os.getpid(), child.pid, flush=True)
    time.sleep(900)
"""


def pids_of(text):
    return [int(word) for line in text.splitlines() if line.startswith("pids") for word in line.split()[1:]]


def test_a_timeout_kills_the_whole_family(project, target):
    project.write("a.py", SLEEPER)

    def limited(seconds):
        pipeline = project.pipeline(project.step("a.py", compute_target=target, timeout_seconds=seconds))
        _, step, run = outcome(project, pipeline)
        assert f"took longer than its {seconds:g} seconds" in step.error
        return pids_of((run.folder / "logs" / "70_driver_log.txt").read_text())

    pids = in_time(limited, lambda pids: pids)
    assert len(pids) == 2
    if target != "docker":
        assert not any(map(alive, pids))


def test_cancelling_stops_a_step_that_runs(project, target):
    from stepwell import Experiment

    project.write("a.py", SLEEPER)
    pipeline = project.pipeline(project.step("a.py", compute_target=target))
    run = Experiment(project.workspace, "cancelled").submit(pipeline)

    def pids_in_its_log():
        texts = [path.read_text() for path in run.folder.path.glob("steps/*/logs/70_driver_log.txt")]
        return pids_of("".join(texts)) if "\n" in "".join(texts) else []

    pids = eventually(pids_in_its_log)
    run.cancel()
    run.wait_for_completion(raise_on_error=False)
    assert run.get_status() == "Canceled"
    eventually(lambda: target == "docker" or not any(map(alive, pids)))


SOCKETS = """
    import multiprocessing, os, socket, sys, tempfile
    from multiprocessing.managers import SharedMemoryManager
    from multiprocessing.reduction import recv_handle, send_handle

    def pass_file(pipe, other):
        with open(__file__) as file:
            send_handle(pipe, file.fileno(), other)

    def add(shared, value):
        shared[value] = value * value

    if __name__ == '__main__':
        assert len(tempfile.gettempdir()) < 48, tempfile.gettempdir()
        assert os.stat(tempfile.gettempdir()).st_mode & 0o077 == 0 or os.getcwd().startswith('/stepwell/')
        open(tempfile.gettempdir() + '/left', 'w').write('x')
        path = tempfile.mkdtemp() + '/' + 'a' * 40
        socket.socket(socket.AF_UNIX).bind(path)
        context = multiprocessing.get_context('forkserver')
        with context.Manager() as manager, SharedMemoryManager(ctx=context) as memory:
            shared, block = manager.dict(), memory.ShareableList([1, 2])
            children = [context.Process(target=add, args=(shared, value)) for value in (2, 3)]
            [child.start() for child in children]
            [child.join() for child in children]
            total = sum(shared.values()) + sum(block)
        here, there = multiprocessing.Pipe()
        child = context.Process(target=pass_file, args=(there, os.getpid()))
        child.start()
        assert open(recv_handle(here)).readable()
        child.join()
        open(sys.argv[1], 'w').write(f'{total} {tempfile.gettempdir()}')
"""


def test_processes_of_a_step_meet_at_unix_sockets(project, target):
    out = PipelineData("out")
    project.write("a.py", SOCKETS)
    pipeline = project.pipeline(project.step("a.py", arguments=[out], outputs=[out], compute_target=target))
    summary, step, run = outcome(project, pipeline)
    assert step.happened == "ran" and not summary.warnings, step.error
    total, folder = read(project, run, "out").split()
    assert total == "16" and not os.path.exists(folder)


def test_python_of_a_command_line_is_the_one_that_scripts_run_with(project, target, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    project.write("which.py", "import sys\nopen(sys.argv[1], 'w').write(sys.prefix)")
    where = {"source_directory": project.source, "compute_target": target}
    outs = {name: PipelineData(name) for name in ("script", "words", "line")}
    script, words, line = outs.values()
    results = project.pipeline(
        project.step("which.py", name="script", arguments=[script], outputs=[script], compute_target=target),
        CommandStep(["python", "which.py", words], name="words", outputs=[words], **where),
        CommandStep(f"python which.py {line} && python3 which.py {line}", name="line", outputs=[line], **where),
    )()
    found = {project.workspace.path_of(results[name][name]).read_text() for name in outs}
    assert len(found) == 1, found


@pytest.mark.parametrize(
    "line", ["no-such-program\necho partial > {}", "(echo partial; exit 3) | tee {}", "false; echo partial > {}"]
)
def test_a_command_line_ends_at_the_first_command_that_fails(project, target, line):
    out = PipelineData("out")
    step = CommandStep(
        line.format(out), name="line", outputs=[out], source_directory=project.source, compute_target=target
    )
    _, step, _ = outcome(project, project.pipeline(step))
    assert step.happened == "failed" and "failed with exit code" in step.error and project.records() == []


def test_what_lay_in_outputs_and_logs_before_is_none_of_the_steps_files(project, target):
    for name in ("outputs/old", "outputs/in/same", "outputs/changed", "logs/old", "logs/more"):
        project.write(name, "by hand")
    project.write(
        "a.py",
        """
        open('outputs/in/new', 'w').write('new')
        open('outputs/in/same', 'w').write('by hand')
        open('outputs/changed', 'a').write('!')
        open('logs/more', 'r+').write('BY')
        assert open('outputs/old').read() == 'by hand'
        """,
    )
    _, step, run = outcome(project, project.pipeline(project.step("a.py", compute_target=target)))
    assert step.happened == "ran", step.error
    assert sorted(run.get_file_names()) == ["logs/more", "outputs/changed", "outputs/in/new", "outputs/in/same"]


def test_a_command_runs_too(project, target):
    out = PipelineData("out")
    line = (
        'printf "%s" "$AML_PARAMETER_rate" > "$AZUREML_DATAREFERENCE_out"; cat tale.txt >> "$AZUREML_DATAREFERENCE_out"'
    )
    project.write("tale.txt", "|tale")
    step = CommandStep(
        line, name="line", outputs=[out], params={"rate": PipelineParameter("rate", 7)},
        source_directory=project.source, compute_target=target,
    )  # fmt: skip
    _, step, run = outcome(project, project.pipeline(step))
    assert step.happened == "ran", step.error
    assert read(project, run, "out") == "7|tale"


def test_the_target_is_no_part_of_the_key(project, target):
    out = PipelineData("out")
    step = {"arguments": [out], "outputs": [out]}
    here = project.pipeline(project.step("a.py", "open(args[0], 'w').write('x')", **step))
    assert project.happened(here) == {"a.py": "ran"}
    there = project.pipeline(project.step("a.py", compute_target=target, **step))
    assert project.happened(there) == {"a.py": "reused"}


def test_signals_of_a_command_are_told(project, target):
    step = CommandStep("kill -TERM $$", name="k", source_directory=project.source, compute_target=target)
    project.write("x", "x")
    _, step, _ = outcome(project, project.pipeline(step))
    assert f"signal {int(signal.SIGTERM)}" in step.error


def test_an_image_of_an_environment_counts_where_containers_run_and_nowhere_else(project):
    from stepwell import Environment

    out = PipelineData("out")
    step = project.step(
        "a.py",
        "open(args[0], 'w').write('x')",
        arguments=[out],
        outputs=[out],
        environment=Environment.from_docker_image("mine", "somewhere/image:1"),
    )
    plain = project.step("a.py", arguments=[out], outputs=[out])
    assert project.happened(project.pipeline(plain)) == {"a.py": "ran"}
    assert project.happened(project.pipeline(step)) == {"a.py": "reused"}
    (decision,) = project.pipeline(step).on("docker").plan()
    assert decision.action == "run" and any("image" in reason for reason in decision.why)


def test_why_a_run_ended_before_its_first_step_is_told(project):
    summary = project.run(project.pipeline(project.step("a.py", "pass", compute_target="nowhere")))
    assert summary.status == "Failed" and "ComputeTargetNotFound" in summary.problem


def test_what_a_step_writes_beside_its_output_stands_there_for_the_next_one(project, target):
    made, one, used = PipelineData("data", output_name="made"), PipelineData("one"), PipelineData("used")
    project.write(
        "make.py",
        "import os, sys\nos.makedirs(sys.argv[1])\nfor name in (sys.argv[1] + '/x', sys.argv[1] + '_report', sys.argv[2]):\n"
        "    open(name, 'w').write(os.path.basename(name) + ' ')",
    )
    project.write(
        "use.py",
        "import os, sys\nfrom stepwell import Run\nassert os.environ['AZUREML_DATAREFERENCE_data'] == sys.argv[1]\n"
        "assert Run.get_context().input_datasets['data'] == sys.argv[1]\n"
        "names = [sys.argv[1] + '/x', sys.argv[1] + '_report', sys.argv[2], os.path.dirname(sys.argv[2]) + '/made_report']\n"
        "open(sys.argv[3], 'w').write(''.join(open(name).read() for name in names))",
    )
    step = dict(source_directory=project.source, compute_target=target)
    from stepwell import PythonScriptStep

    first = PythonScriptStep("make.py", arguments=[made, one], outputs=[made, one], **step)
    second = PythonScriptStep("use.py", arguments=[made, one, used], inputs=[made, one], outputs=[used], **step)
    _, found, run = outcome(project, project.pipeline(first, second, rules="v1"))
    assert found.happened == "ran", found.error
    assert read(project, run, "used") == "x made_report one made_report "


def test_a_script_asks_the_host_and_is_given_and_gives_files(project, target):
    from stepwell import Model

    (project.folder / "iris").mkdir()
    (project.folder / "iris" / "weights").write_text("1 2 3")
    Model.register(project.workspace, project.folder / "iris", "iris", tags={"by": "hand"})
    out = PipelineData("out")
    project.write(
        "a.py",
        """
        import os, subprocess, sys
        from stepwell.errors import ModelNotFoundException
        from stepwell.script import channel

        assert not [name for name in os.environ if "PREFECT" in name or "STEPWELL_HOME" in name]
        (model,) = channel.ask("model.find", name="iris")["models"]
        folder = channel.receive("model.files", name="iris")
        text = open(folder + "/weights").read()
        try:
            channel.ask("model.files", name="lily")
        except ModelNotFoundException as error:
            text += " " + error.title
        os.makedirs("made/inner")
        open("made/inner/file", "w").write(text)
        kept = channel.send("model.register", "made", name="made", tags={"from": model["name"]})
        child = "from stepwell.script import channel; print(channel.ask('model.find', name='made')['models'][0]['version'])"
        version = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True,
                                 env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}).stdout
        open(sys.argv[1], "w").write(f"{text} {kept['version']} {version}")
        """,
    )
    pipeline = project.pipeline(project.step("a.py", arguments=[out], outputs=[out], compute_target=target))
    summary, step, run = outcome(project, pipeline)
    assert step.happened == "ran", step.error + run.get_stderr_log()
    assert read(project, run, "out").split("\n")[0] == "1 2 3 There is no such model in the workspace 1 1"
    assert not summary.warnings
    made = Model(project.workspace, "made")
    assert made.tags == {"from": "iris"} and made.run_id == summary.run_id
    copied = made.download(project.folder / "copy")
    assert open(os.path.join(copied, "inner", "file")).read().startswith("1 2 3")
    assert project.happened(pipeline) == {"a.py": "reused"}
    assert Model(project.workspace, "made").version == 1, "a reused step registers nothing again"


def test_scripts_of_the_azure_ml_sdk_reach_run_workspace_data_and_models(project, target):
    from stepwell import Dataset, Datastore, Model

    (project.folder / "notes.txt").write_text("noted")
    store = Datastore.get_default(project.workspace)
    store.upload_files([project.folder / "notes.txt"], target_path="notes", show_progress=False)
    Dataset.File.from_files((store, "notes")).register(project.workspace, "notes")
    Model.register(project.workspace, project.folder / "notes.txt", "iris")
    body = """
        import os, subprocess, sys
        from azureml.core import Dataset, Experiment, Model, Run, Workspace
        from azureml.core.run import _OfflineRun
        from azureml.data.data_reference import DataReference
        from azureml.pipeline.core import PipelineData
        run = Run.get_context()
        assert not isinstance(run, _OfflineRun)
        ws = run.experiment.workspace
        (note,) = Dataset.get_by_name(ws, name="notes").download("copies")
        text = open(note).read() + open(Model.get_model_path("iris", _workspace=ws)).read()
        run.log("letters", len(text))
        run.parent.log("all", len(text))
        os.makedirs("outputs", exist_ok=True)
        open("outputs/model.txt", "w").write(text)
        model = run.register_model(model_name="made", model_path="outputs/model.txt")
        child = "from azureml.core import Run; print(Run.get_context().experiment.workspace.models['made'].version)"
        told = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
        assert told.stdout == f"{model.version}\\n", told
        open(sys.argv[1], "w").write(text)
    """
    out = PipelineData("out")
    project.write("old.py", body)
    project.write("shell.py", "from azureml.core import Run\nRun.get_context().log('here', 1)\n")
    old = project.step("old.py", arguments=[out], outputs=[out], compute_target=target)
    shell = CommandStep(
        "cd . && python shell.py; true && python -c 'from stepwell import Run; Run.get_context().log(\"too\", 2)'",
        name="shell",
        inputs=[out],
        source_directory=str(project.source),
        compute_target=target,
    )
    summary, step, run = outcome(project, project.pipeline(old, shell))
    assert {one.id: one.error for one in summary.steps} == {"old.py": "", "shell": ""}
    assert run.get_metrics() == {"here": 1, "too": 2}
    (first,) = project.workspace.get_run(summary.run_id).find_step_run("old.py")
    assert first.get_metrics() == {"letters": 10} and read(project, first, "out") == "notednoted"
    assert Model(project.workspace, "made").run_id == summary.run_id


def test_an_items_step_has_that_item_alone_under_its_own_name(project, target):
    parts, sizes = PipelineData("parts"), PipelineData("sizes")
    split = project.step("s.py", """
        import os
        for name in ("a.csv", "b/c.csv"):
            os.makedirs(os.path.dirname(os.path.join(args[0], name)), exist_ok=True)
            open(os.path.join(args[0], name), "w").write(name)
    """, arguments=[parts], outputs=[parts])  # fmt: skip
    project.write("c.py", """
        import os, sys
        from stepwell import Run
        path = sys.argv[1]
        assert path == os.environ["AZUREML_DATAREFERENCE_parts"] == Run.get_context().input_datasets["parts"]
        there = path if os.path.isfile(path) else os.path.join(path, "c.csv")
        open(sys.argv[2], "w").write(f"{os.path.basename(path)} {open(there).read()} {os.listdir(os.path.dirname(path))}")
    """)  # fmt: skip
    count = project.step(
        "c.py", name="c", arguments=[parts, sizes], inputs=[parts], outputs=[sizes], compute_target=target
    )
    summary, _, joined = outcome(project, project.pipeline(split, count.map(parts)))
    assert summary.status == "Finished", [step.error for step in summary.steps]
    folder = joined.get_output_data("sizes").local_path
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "a.csv": "a.csv a.csv ['a.csv']",
        "b": "b b/c.csv ['b']",
    }
