"""Notebooks that are given parameters and run, with a real kernel."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from stepwell.drivers import notebook_execution as notebooks


def test_parameters_stand_after_the_cell_of_defaults_and_replace_those_of_an_earlier_run():
    notebook = notebooks.of_cells(["x = 1", "print(x)"])
    notebook["cells"][0]["metadata"]["tags"] = ["parameters"]
    notebooks.add_parameters(notebook, {"x": 2})
    notebooks.add_parameters(notebook, {"x": 3})
    assert [cell["source"] for cell in notebook["cells"]] == ["x = 1", "# Parameters\nx = 3", "print(x)"]


def test_parameters_are_the_first_cell_of_a_notebook_without_defaults():
    notebook = notebooks.of_cells(["print(x)"])
    notebooks.add_parameters(notebook, {"x": "a'b"})
    assert notebook["cells"][0]["source"] == '# Parameters\nx = "a\'b"'


@pytest.mark.parametrize(
    "value", [1, 0.5, True, None, "ä'\"\n", [1, None, [2.5]], {"a": [True]}, float("inf"), -(2**70)]
)
def test_values_keep_their_types_in_python(value):
    assert eval(notebooks.python_literal(value)) == value
    assert type(eval(notebooks.python_literal(value))) is type(value)


def test_what_is_no_number_stays_one():
    assert math.isnan(eval(notebooks.python_literal([float("nan")]))[0])


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="r-base-core is not installed")
def test_values_keep_their_types_in_r():
    values = [1, 2.5, True, "ä'\"\n😀", None, [1, "b"], {"a": 2}, float("-inf"), 2**40]
    code = "\n".join(f"cat(class({notebooks.r_literal(value)}), '')" for value in values)
    code += f'\ncat(identical({notebooks.r_literal(values[3])}, "ä\'\\"\\n😀"), 2^40 == {notebooks.r_literal(2**40)})'
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True)
    assert done.stdout == "integer numeric logical character NULL list list numeric numeric TRUE TRUE"


def test_parameters_need_a_language_that_is_known_and_a_name_that_can_be_assigned():
    notebook = notebooks.of_cells([])
    with pytest.raises(ValueError, match="'a-b' can't be the name"):
        notebooks.add_parameters(notebook, {"a-b": 1})
    notebook["metadata"]["kernelspec"] = {"name": "ir", "language": "R"}
    notebooks.add_parameters(notebook, {"a.b": 1})
    assert notebook["cells"][0]["source"] == "# Parameters\na.b <- 1L"
    notebook["metadata"]["kernelspec"] = {"name": "scala", "language": "scala"}
    with pytest.raises(ValueError, match="in Python and R, not in scala"):
        notebooks.add_parameters(notebook, {"a": 1})


def test_a_file_that_is_no_notebook_is_said_to_be_none(tmp_path):
    (tmp_path / "a.ipynb").write_text("# %% cells")
    with pytest.raises(ValueError, match="is no notebook"):
        notebooks.read(str(tmp_path / "a.ipynb"))


@pytest.mark.parametrize("minor", [0, 4, 5])
def test_older_notebooks_are_read_in_silence_and_run_alike_each_time(tmp_path, monkeypatch, minor, recwarn):
    monkeypatch.chdir(tmp_path)
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": "print(x)"}
    metadata = {"kernelspec": {"name": "python36-azureml", "display_name": "Python 3.6"}}
    content = {"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}
    (tmp_path / "a.ipynb").write_text(json.dumps(content))
    kept = []
    for _ in range(2 if minor == 4 else 1):
        notebook, out = notebooks.read("a.ipynb"), io.StringIO()
        notebooks.add_parameters(notebook, {"x": 1})
        notebooks.run(notebook, "a", kept="kept.ipynb", out=out, err=io.StringIO())
        kept.append((tmp_path / "kept.ipynb").read_text())
        assert out.getvalue() == "1\n"
    assert len(set(kept)) == 1 and [str(one.message) for one in recwarn if "nbformat" in str(one.category)] == []


def test_cells_run_one_after_the_other_and_their_output_is_shown_and_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARK", "seen")
    cells = ["import os, sys\nprint('one', os.environ['MARK'], hidden)", "print('two', file=sys.stderr)", "[1, 2]"]
    notebook, out, err = notebooks.of_cells([*cells, "1/0", "print('never')"]), io.StringIO(), io.StringIO()
    with pytest.raises(notebooks.CellError, match="ZeroDivisionError: division by zero") as raised:
        notebooks.run(notebook, "a", kept="outputs/a.ipynb", setup="hidden = 7", out=out, err=err)
    assert (out.getvalue(), err.getvalue()) == ("one seen 7\n[1, 2]\n", "two\n")
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert [child for child in living if "ipykernel_launcher" in child.cmdline()] == []
    assert (raised.value.cell, raised.value.exit_code) == (4, 1)
    assert "----> 1 1/0" in raised.value.trace
    kept = json.loads((tmp_path / "outputs/a.ipynb").read_text())
    assert [cell["source"] for cell in kept["cells"]][0][0].startswith("import os")
    assert kept["cells"][0]["outputs"][0]["text"] == ["one seen 7\n"]
    assert kept["cells"][3]["outputs"][0]["ename"] == "ZeroDivisionError"
    assert kept["cells"][4]["outputs"] == []


@pytest.mark.parametrize(("message", "code"), [("0", 0), ("3", 3), ("None", 0), ("", 0), ("no data", 1)])
def test_a_cell_may_end_the_run_with_an_exit_code(message, code):
    error = notebooks.CellError("SystemExit", message, "", 1)
    assert error.ends_run
    assert error.exit_code == code


def test_without_the_engine_one_sentence_names_the_extra():
    code = "import sys; sys.modules['nbclient'] = None\nfrom stepwell.drivers import notebook_execution\n"
    code += "notebook_execution.of_cells([])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Notebooks need nbclient and ipykernel: Install stepwell[notebooks].\n"


def test_a_notebook_whose_kernel_is_not_installed_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = notebooks.of_cells(["1"])
    notebook["metadata"]["kernelspec"] = {"name": "none-such", "language": "scala"}
    with pytest.raises(ValueError, match="The kernel 'none-such' of the notebook isn't installed"):
        notebooks.run(notebook, "a", kept="a.ipynb")


def test_a_kernel_that_dies_is_said_to_have_died(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = notebooks.of_cells(["import os; os._exit(1)"])
    with pytest.raises(ValueError, match="The kernel of a died while its cell 1 was at work"):
        notebooks.run(notebook, "a", kept="a.ipynb")


ENDED = """
import sys
from stepwell.drivers import notebook_execution as notebooks
notebook = notebooks.of_cells(["", "pass", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"])
try:
    notebooks.run(notebook, "long.ipynb", kept="kept.ipynb")
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("who", ["driver", "kernel"])
def test_a_notebook_that_is_ended_tells_which_cell_was_at_work(tmp_path, who):
    with subprocess.Popen([sys.executable, "-c", ENDED], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        kernel = int(process.stdout.readline())
        os.kill(process.pid if who == "driver" else kernel, signal.SIGTERM if who == "driver" else signal.SIGKILL)
        said = process.stdout.read()
    words = "The notebook long.ipynb was ended" if who == "driver" else "The kernel of long.ipynb died"
    assert said == f"{words} while its cell 3 was at work\n"


def test_an_error_that_jupyter_shows_as_a_sentence_alone_is_told(tmp_path):
    with pytest.raises(
        notebooks.CellError, match="UsageError: Line magic function `%nothing_such` not found"
    ) as failed:
        notebooks.run(notebooks.of_cells(["1", "%nothing_such"]), "a.ipynb", kept=str(tmp_path / "kept.ipynb"))
    assert failed.value.cell == 2
