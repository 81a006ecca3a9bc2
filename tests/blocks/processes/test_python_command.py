"""What the words of a command tell about the Python that it runs."""

import pytest

from stepwell.blocks.processes.python_command import (
    PythonCall,
    is_python,
    program_of,
    python_call,
    shell_commands,
    shell_text,
)


@pytest.mark.parametrize(
    ("line", "options", "found"),
    [
        ("python a.py x", "", {"script": "a.py", "length": 2}),
        ("python -u -X dev -W ignore a.py", "-u -X dev -W ignore", {"script": "a.py", "length": 7}),
        ("python3.12 -m pkg.mod -m x", "", {"module": "pkg.mod", "length": 3}),
        ("/env/bin/python -uBm pkg", "-uB", {"module": "pkg", "length": 3}),
        ("python3 -mpkg", "", {"module": "pkg", "length": 2}),
        ("python -Wignore -c code more", "-Wignore", {"code": "code", "length": 4}),
        (
            "python --check-hash-based-pycs always a.py",
            "--check-hash-based-pycs always",
            {"script": "a.py", "length": 4},
        ),
    ],
)
def test_a_call_of_python_is_taken_apart(line, options, found):
    assert python_call(line.split()) == PythonCall(tuple(options.split()), **found)


@pytest.mark.parametrize(
    "line", ["", "python", "python -", "python -V", "python -m", "pythonista a.py", "echo python a.py"]
)
def test_other_commands_are_none(line):
    assert python_call(line.split()) is None


def test_names_of_interpreters():
    assert all(map(is_python, ["python", "python3", "python3.11", "python3.13t", "pypy3", "/opt/x y/bin/python"]))
    assert not any(map(is_python, ["", "python-config", "ipython", "python.py", "pythonw.exe", "xpython"]))


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("A=1 python a.py > out 2>&1 && python -m b | tee log", ["python a.py", "python -m b", "tee log"]),
        ("for i in 1 2; do python a.py $i; done", ["python a.py $i"]),
        ("cat <<EOF > x\nno 'command\nEOF\npython a.py", ["cat", "python a.py"]),
        ("cat <<-'A' | sort\n\tno\n\tA\nread a <<< b", ["cat", "sort", "read a"]),
        ("# python no.py\nif test -f x\nthen exec python x.py &> log\nfi", ["test -f x", "python x.py"]),
        ("cd sub\npython \\\n  a.py", ["cd sub", "python a.py"]),
        ("echo 'unclosed", ["echo"]),
        ("", []),
    ],
)
def test_a_shells_text_is_told_apart(text, commands):
    assert [" ".join(words) for words in shell_commands(text)] == commands


def test_the_text_of_a_shell():
    assert shell_text(["/bin/bash", "-e", "-c", "python a.py"]) == "python a.py"
    assert shell_text(["sh", "-euc", "x"]) == "x"
    assert shell_text(["sh", "run.sh", "-c", "x"]) is None and shell_text(["make", "-c", "x"]) is None


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("Rscript fit.R", "Rscript"),
        ("env A=1 timeout -k 5 60 /opt/bin/tool --x", "/opt/bin/tool"),
        ("echo Rscript", ""),
        ("python a.py", ""),
        ("/usr/bin/env python3 a.py", ""),
        ("bash run.sh", ""),
        ("$TOOL x", ""),
        ("", ""),
    ],
)
def test_the_program_of_a_command(line, program):
    assert program_of(line.replace("/usr/bin/env", "env").split()) == program
