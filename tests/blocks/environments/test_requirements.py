"""Lines for pip in one spelling, what they ask for, and what can't be kept."""

import pytest
from stepwell.blocks.environments.requirements import asked_for, read_requirements, requirement
from stepwell.model.digests import bytes_digest
from stepwell.errors import UserErrorException


@pytest.mark.parametrize(
    ("line", "spelled", "asked"),
    [
        ("Six == 1.16.0", "six==1.16.0", ("six", "1.16.0")),
        ("numpy", "numpy", ("numpy", "any")),
        ("numpy >=2 , <3  # pinned later", "numpy<3,>=2", ("numpy", "<3,>=2")),
        ("a_b[z, y]>=1 ; python_version < '4'", "a-b[y,z]>=1; python_version < '4'",
         ("a-b", ">=1 [y,z] if python_version < '4'")),
        ("x==1.*", "x==1.*", ("x", "==1.*")),
        ("t @ https://me:pw@host/t.whl", "t @ https://me:pw@host/t.whl", ("t", "https://host/t.whl")),
        ("git+https://tok@host/x.git", "git+https://tok@host/x.git", ("git+https://host/x.git", "any")),
    ],
)  # fmt: skip
def test_a_line_has_one_spelling_and_asks_for_something(tmp_path, line, spelled, asked):
    assert read_requirements([line], tmp_path).lines == (spelled,)
    assert requirement(spelled) == asked
    assert read_requirements([spelled], tmp_path).lines == (spelled,)


def test_files_are_read_in_indexes_found_and_v1s_own_packages_dropped(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "more.txt").write_text("six\n# nothing\nazureml-sdk[notebooks]\n")
    lines = [
        "--index-url https://u:p@host/simple",
        "-r deep/more.txt",
        "azureml.core==1.5",
        "inference_schema[numpy-support]>=1.0",
        "six",
        "azuremlish",
        "--pre",
    ]
    found = read_requirements(lines, tmp_path)
    assert found.lines == ("six", "azuremlish", "--pre")
    assert found.index_url == "https://u:p@host/simple"


def test_a_wheel_counts_by_its_bytes(tmp_path):
    wheel = tmp_path / "my_pkg-1.0-py3-none-any.whl"
    wheel.write_bytes(b"one")
    [line] = read_requirements(["./my_pkg-1.0-py3-none-any.whl"], tmp_path).lines
    assert read_requirements([line, wheel.as_uri()], tmp_path).lines == (line,)
    assert asked_for([line]) == {"my-pkg": "sha256:" + bytes_digest(b"one")}
    wheel.unlink()
    with pytest.raises(UserErrorException, match="A package can't be read"):
        asked_for([line])


@pytest.mark.parametrize("line", ["numpy 1.2", "numpy=1.2", "-e .", "./folder", "/a/folder", "-c x", "-r gone.txt"])
def test_what_cant_be_kept_is_refused(tmp_path, line):
    with pytest.raises(UserErrorException):
        read_requirements([line], tmp_path)
