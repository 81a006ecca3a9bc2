"""Images of environments on a real engine: made once, named by content, honest about packages, silent about passwords."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
import urllib.request
import uuid

import pytest
from docker_packages import PASSWORD, index, write_wheel
from ports import port_for_later
from waiting import eventually

from stepwell.blocks.compute.docker.engine import connect
from stepwell.blocks.compute.docker.images import REPOSITORY, Images
from stepwell.blocks.compute.docker.recipe import Recipe
from stepwell.blocks.processes.runner import StopSignal
from stepwell.errors import ComputeTargetException, StepFailedException


@pytest.fixture
def engine(docker_engine):
    """Return the engine; images that the test makes are gone afterwards."""
    listed = ("images", "--format", "{{.Repository}}:{{.Tag}}")
    before = set(docker_engine.docker(*listed).split())
    yield docker_engine
    made = sorted(set(docker_engine.docker(*listed).split()) - before)
    if made:
        docker_engine.docker("rmi", "-f", *made)


@pytest.fixture
def images(engine):
    """Return a function that makes an Images with the list of its output and its stop signal."""

    def make(**more):
        output, stop = [], StopSignal()
        made = Images(connect("docker"), output.append, stop, lambda text: text, **{"network": "host", **more})
        return made, output, stop

    return make


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    write_wheel(folder, "tinypkg", "1.2", "word = 'one two'\n")
    return folder


def name():
    return f"tinypkg{uuid.uuid4().hex[:8]}"


def prints(engine, image, code):
    return engine.docker("run", "--rm", "--network", "none", image, "python3", "-c", code).strip()


def test_an_image_is_made_once_and_named_by_its_content(engine, images, wheels):
    with index(wheels) as url:
        recipe = Recipe(engine.image, requirements=("tinypkg==1.2",), index_url=url)
        first, output, _ = images()
        image = first.image_for(recipe)
    assert prints(engine, image, "import tinypkg; print(tinypkg.word)") == "one two"
    assert output[0].startswith(f"Building image {REPOSITORY}:")
    again, output, _ = images()
    elsewhere = Recipe(engine.image, requirements=("tinypkg==1.2",), index_url=url.replace(PASSWORD, "other"))
    assert again.image_for(elsewhere) == image and output == []
    assert engine.nothing_left()


def test_the_password_of_an_index_is_in_no_layer_no_history_and_no_word(engine, images, wheels):
    made, output, _ = images()
    with index(wheels) as url:
        image = made.image_for(Recipe(engine.image, requirements=("tinypkg==1.2",), index_url=url))
    shown = engine.docker("history", "--no-trunc", image) + engine.docker("inspect", image)
    assert PASSWORD not in shown + "".join(output)
    assert prints(engine, image, f"import os; print({PASSWORD!r} in str(os.environ))") == "False"
    found = engine.docker(
        "run", "--rm", "--network", "none", image, "grep", "-rlF", PASSWORD, "/etc", "/usr/local", "/root", "/tmp", "/var",
        check=False,
    )  # fmt: skip
    assert found == ""
    labels = json.loads(engine.docker("inspect", image))[0]["Config"]["Labels"]
    assert set(labels.values()) == {""}  # its containers are not taken for ours


def test_two_at_once_make_one_image(engine, images, wheels):
    package = name()
    write_wheel(wheels, package, "1.0", "x = 1\n")
    both, found = [images() for _ in range(2)], []
    with index(wheels) as url:
        recipe = Recipe(engine.image, requirements=(f"{package}==1.0",), index_url=url)
        threads = [threading.Thread(target=lambda m=m: found.append(m.image_for(recipe))) for m, _, _ in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 2 and len(set(found)) == 1
    assert sum(line.startswith("Building") for _, output, _ in both for line in output) == 1


def test_requirements_that_cannot_be_had_are_told_with_the_last_lines_of_pip(engine, images, wheels):
    made, _, _ = images()
    with index(wheels) as url, pytest.raises(ComputeTargetException) as caught:
        made.image_for(Recipe(engine.image, requirements=("nosuchpackage==9",), index_url=url))
    assert "can't be built" in caught.value.title and "nosuchpackage==9" in caught.value.facts["last lines"]
    assert PASSWORD not in caught.value.message and engine.nothing_left()


def test_a_stop_ends_the_making_of_an_image(engine, images, wheels):
    made, _, stop = images()
    threading.Timer(1.0, stop.stop).start()
    slow = Recipe(
        engine.image, requirements=("slow",), index_url="http://127.0.0.1:9/simple"
    )  # pip tries again and again
    with pytest.raises(StepFailedException, match="cancelled"):
        made.image_for(slow)
    assert engine.nothing_left()


def test_a_dockerfile_is_built_once_and_requirements_come_on_top(engine, images, wheels):
    made, output, _ = images()
    text = f"FROM {engine.image}\nENV WORD={uuid.uuid4().hex}\n"
    with index(wheels) as url:
        image = made.image_for(Recipe("", text, ("tinypkg==1.2",), index_url=url))
        assert (
            prints(engine, image, "import os, tinypkg; print(tinypkg.word, os.environ['WORD'])")
            == f"one two {text.split('=')[1].strip()}"
        )
        assert made.image_for(Recipe("", text, ("tinypkg==1.2",), index_url=url)) == image
    assert sum("Dockerfile" in line for line in output) == 1
    with pytest.raises(ComputeTargetException, match="Dockerfile can't be built"):
        made.image_for(Recipe("", f"FROM {engine.image}\nRUN exit 7\n"))


def test_an_image_that_is_nowhere_is_named(images):
    made, _, _ = images()
    with pytest.raises(ComputeTargetException) as caught:
        made.image_for(Recipe("127.0.0.1:9/nobody/nothing:here"))
    assert "127.0.0.1:9/nobody/nothing:here" in caught.value.title and caught.value.hint.startswith("Pull or build")


def test_another_python_than_the_key_names_is_refused_before_anything_runs(engine, images):
    made, output, _ = images()
    older = made.image_for(Recipe("", f"FROM {engine.image}\nENV PYTHON_VERSION=3.8.1\n"))
    with pytest.raises(ComputeTargetException, match=r"has Python 3\.8\.1, but the step's key names Python 3\.11\.0"):
        made.image_for(Recipe(older, python="3.11.0"))
    del output[:]
    for _ in range(2):
        assert made.image_for(Recipe(older, python="3.8.0")) == older
    assert [line for line in output if line.startswith("Warning")] == [
        f"Warning: image {older} has Python 3.8.1; the step's key names Python 3.8.0\n"
    ]


def test_an_image_without_python_is_refused(engine, images):
    made, _, _ = images()
    bare = made.image_for(Recipe("", f"FROM {engine.image}\nRUN rm /usr/bin/python3\n"))
    with pytest.raises(ComputeTargetException, match="has Python not at all"):
        made.image_for(Recipe(bare, python="3.11.0"))


# A registry ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def registry(tmp_path):
    """Start a real registry and return its address."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    address = f"127.0.0.1:{port_for_later()}"
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/kept}}}}\nhttp: {{addr: {address}}}\n"
    )
    process = subprocess.Popen([program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:

        def answers():
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/v2/"):
                return True
            return False

        eventually(answers)
        yield address
    finally:
        process.terminate()
        process.wait()


def test_an_image_is_pushed_once_and_then_fetched(engine, images, wheels, registry):
    repository = f"{registry}/team/steps"
    made, _, _ = images(repository=repository)
    with index(wheels) as url:
        recipe = Recipe(engine.image, requirements=("tinypkg==1.2",), index_url=url)
        image = made.image_for(recipe)
    tag = image.partition(":")[2]
    tags = json.loads(urllib.request.urlopen(f"http://{registry}/v2/team/steps/tags/list").read())
    assert tags["tags"] == [tag]
    engine.docker("rmi", "-f", image, f"{repository}:{tag}")
    other, output, _ = images(repository=repository)
    assert other.image_for(recipe) == image and not any("Building" in line for line in output)
    assert prints(engine, image, "import tinypkg; print(tinypkg.word)") == "one two"
