"""A step leaves links, pipes and odd names wherever the host looks: the host reads and writes nothing through them."""

from __future__ import annotations

import os
import textwrap

import pytest

from stepwell import PipelineData, PythonScriptStep

SECRET = "the-secret-of-the-host"


def local(request, workspace):
    return "local"


def docker(request, workspace):
    from stepwell.blocks.compute.docker.docker_compute import DockerCompute

    DockerCompute(image=request.getfixturevalue("docker_engine").image).attach_to(workspace, "docker")
    return "docker"


def dask(request, workspace):
    from stepwell.blocks.compute.dask.dask_compute import DaskCompute

    pytest.importorskip("distributed")
    DaskCompute(max_nodes=1, min_nodes=1).attach_to(workspace, "workers")
    return "workers"


@pytest.fixture(params=[local, dask, docker], ids=["LocalCompute", "DaskCompute", "DockerCompute"])
def target(request, workspace):
    return request.param(request, workspace)


@pytest.fixture
def outside(project):
    """A folder of the host that no step is given."""
    folder = project.folder / "outside"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text(SECRET)
    (folder / "file").write_text(SECRET)
    return folder


def untouched(outside):
    return {str(path.relative_to(outside)) for path in outside.rglob("*")} == {"deep", "deep/file", "file"} and all(
        path.read_text() == SECRET for path in outside.rglob("file")
    )


def told(store):
    """Return the files of the store that hold the secret, links not followed."""
    files = (os.path.join(folder, name) for folder, _, names in os.walk(store.root) for name in names)
    regular = (path for path in files if os.path.isfile(path) and not os.path.islink(path))
    return [path for path in regular if SECRET.encode() in open(path, "rb").read()]


HEAD = """
import os, shutil, sys
out, outside = sys.argv[1:3]
control = os.environ['STEPWELL_CONTROL']
def swap(path, target):
    if os.path.lexists(path):
        os.rename(path, path + '.old')
    os.symlink(target, path)
"""


def attack(project, target, outside, code, **more):
    """Run a step that attacks, and return its summary and its run; nothing got out or in."""
    out = PipelineData("out", **more)
    (project.source / "a.py").write_text(HEAD + textwrap.dedent(code))
    step = PythonScriptStep(
        "a.py", source_directory=project.source, arguments=[out, outside], outputs=[out], compute_target=target
    )
    summary = project.run(project.pipeline(step))
    run = project.workspace.get_run(summary.run_id).find_step_run("a.py")[0]
    names = run.get_file_names()
    logs = run.get_job_log() + run.get_stdout_log() + run.get_stderr_log()
    run.get_metrics()
    assert untouched(outside)
    assert told(project.workspace.store) == [] and SECRET not in logs + summary.steps[0].error + str(summary)
    return summary.steps[0], names


@pytest.mark.parametrize(
    "code",
    [
        "os.symlink(outside + '/file', out)",
        "os.symlink(outside, out)",
        "os.symlink(outside + '/deep/', out)",
        "os.mkdir(out); os.symlink(outside + '/file', out + '/x')",
        "os.mkdir(out); os.symlink('../../../../../../../../../../..' + outside, out + '/x')",
        "os.mkfifo(out)",
        "os.mkdir(out); os.mkfifo(out + '/x')",
        "import socket; os.chdir(os.path.dirname(out)); socket.socket(socket.AF_UNIX).bind(os.path.basename(out))",
        "swap(os.path.dirname(out), outside + '/deep')",
    ],
    ids=["file", "folder", "slash", "inner", "relative", "pipe", "inner pipe", "socket", "parent"],
)
def test_an_output_that_is_or_holds_a_link_or_special_file_is_refused(project, target, outside, code):
    step, _ = attack(project, target, outside, code)
    assert step.happened == "failed" and "Traceback" not in step.error and "Hint: " in step.error


def test_an_output_behind_a_link_in_the_source_is_refused(project, target, outside):
    code = "os.rename('sub', 'old'); os.symlink(outside + '/deep', 'sub')"
    step, _ = attack(project, target, outside, code, output_path_on_compute="sub/file")
    assert step.happened == "failed" and "link" in step.error


def test_links_at_every_place_where_the_host_looks_are_left_alone(project, target, outside):
    code = """
    open(out, 'w').write('own')
    here = os.getcwd()
    open('outputs/own', 'w').write('x')
    os.symlink(outside + '/file', 'outputs/link')
    os.symlink(outside, 'outputs/folder')
    os.mkfifo('outputs/pipe')
    swap('logs', outside)
    os.makedirs(control + '/files')
    os.symlink(outside, control + '/files/up')
    os.symlink(outside + '/file', control + '/files/image.png')
    event = '{"type": "image", "scope": "step", "name": "n", "value": "%s", "time": 1}\\n'
    with open(control + '/events.jsonl', 'a') as events:
        events.write(event % 'image.png' + event % 'up/file')
    """
    step, names = attack(project, target, outside, code)
    assert step.happened == "ran", step.error
    assert names == ["outputs/own"]


@pytest.mark.parametrize("name", ["events.jsonl", "reads.jsonl", "files", "parent_files"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_the_control_channel_may_hold_anything(project, target, outside, name, kind):
    code = f"""
    open(out, 'w').write('own')
    place = control + '/{name}'
    if '{kind}' == 'link':
        swap(place, outside + ('' if 'files' in place else '/file'))
    else:
        os.path.lexists(place) and os.rename(place, place + '.old')
        os.mkfifo(place)
    """
    step, names = attack(project, target, outside, code)
    assert step.happened == "ran", step.error
    assert names == []


def test_a_file_with_a_second_name_is_kept_as_a_copy_and_stays_as_it_is(project, server):
    other = project.folder / "other"
    other.write_text("of the user")
    other.chmod(0o640)
    out = PipelineData("out")
    body = "import os\nos.link(args[1], args[0])"
    summary = project.run(project.pipeline(project.step("a.py", body, arguments=[out, other], outputs=[out])))
    assert summary.steps[0].happened == "ran", summary.steps[0].error
    run = project.workspace.get_run(summary.run_id).find_step_run("a.py")[0]
    kept = run.get_output_data("out").local_path
    assert kept.read_text() == "of the user" and not kept.samefile(other)
    assert other.stat().st_mode & 0o777 == 0o640


def test_a_container_can_give_no_file_of_the_host_a_second_name(project, outside, request):
    data = project.workspace.get_default_datastore()
    (data.local_root / "one.csv").write_text("data")
    name = docker(request, project.workspace)
    mounted, out = data.path("one.csv", "file").as_mount(), PipelineData("out")
    body = """
    import os, sys
    out, control = sys.argv[1], os.environ['STEPWELL_CONTROL']
    refused = 0
    for source, target in ((sys.argv[2], out), (sys.argv[2], control + '/x'), (control + '/context.json', out)):
        try:
            os.link(source, target)
        except OSError:
            refused += 1
    for device in (0o020000, 0o060000):
        try:
            os.mknod(control + '/device', device | 0o666, os.makedev(1, 5))
        except OSError:
            refused += 1
    open(out, 'w').write(str(refused))
    """
    (project.source / "a.py").write_text(textwrap.dedent(body))
    step = PythonScriptStep(
        "a.py",
        source_directory=project.source,
        arguments=[out, mounted],
        inputs=[mounted],
        outputs=[out],
        compute_target=name,
    )
    summary = project.run(project.pipeline(step))
    assert summary.steps[0].happened == "ran", summary.steps[0].error
    run = project.workspace.get_run(summary.run_id).find_step_run("a.py")[0]
    assert run.get_output_data("out").local_path.read_text() == "5"


def test_outputs_that_is_a_link_is_not_kept(project, target, outside):
    step, names = attack(project, target, outside, "open(out, 'w').write('own'); swap('outputs', outside)")
    assert step.happened == "ran" and names == []


def test_a_log_that_became_a_link_is_neither_read_nor_written_through(project, outside, server):
    code = """
    logs = os.path.join(os.path.dirname(control), 'logs')
    for name in os.listdir(logs):
        swap(os.path.join(logs, name), outside + '/file')
    print('more', flush=True)
    sys.exit(3)
    """
    step, _ = attack(project, "local", outside, code)
    assert step.happened == "failed" and "exit code 3" in step.error


def test_a_container_sees_of_the_record_its_control_channel_only(project, outside, request):
    code = """
    record = os.path.dirname(control)
    open(out, 'w').write(repr(sorted(os.listdir(record))))
    os.mkdir(record + '/logs')
    open(record + '/logs/stdout.txt', 'w').write('forged')
    """
    step, _ = attack(project, docker(request, project.workspace), outside, code)
    assert step.happened == "ran", step.error
    assert not [path for path in project.workspace.store.root.rglob("logs/stdout.txt") if path.read_text()]
    (kept,) = (path for path in project.workspace.store.root.glob("trees/*/*/data") if path.is_file())
    assert kept.read_text() == "['control']"


def test_noted_reads_name_what_the_host_does_not_wait_for(project, outside, server):
    os.mkfifo(outside.parent / "pipe")
    code = f"""
    import json
    open(out, 'w').write('own')
    with open(control + '/reads.jsonl', 'a') as reads:
        for path in ({str(outside.parent / "pipe")!r}, '/dev/zero', '../../../etc/passwd'):
            reads.write(json.dumps({{'path': path, 'inside': False}}) + '\\n')
    """
    step, _ = attack(project, "local", outside, code)
    assert step.happened == "ran", step.error
