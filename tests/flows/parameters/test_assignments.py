"""Words of a command line: values, files of values, and the grid of a sweep."""

from __future__ import annotations

import pytest

from stepwell import PipelineParameter
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.assignments import read_grid, read_values
from stepwell.model.definitions import ParameterDefinition

KNOWN = [
    PipelineParameter("rate", 1).definition,
    PipelineParameter("share", 0.5).definition,
    PipelineParameter("kind", "svc").definition,
    PipelineParameter("sizes", [1]).definition,
    PipelineParameter("depth", None, type=int).definition,
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("params.yaml", "rate: 20\nshare: 1e-3\nkind: '7'\nsizes: [1, 2]\ndepth: null\n"),
        ("params.yml", "rate: '20'\nshare: 0.001\nkind: '7'\nsizes: [1, 2]\ndepth:\n"),
        ("params.json", '{"rate": 20, "share": 0.001, "kind": "7", "sizes": [1, 2], "depth": null}'),
        ("params.toml", 'rate = 20\nshare = 0.001\nkind = "7"\nsizes = [1, 2]\ndepth = "none"\n'),
    ],
)
def test_a_file_gives_values_in_their_types_and_later_words_count(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    expected = {"rate": 20, "share": 0.001, "kind": "7", "sizes": (1, 2), "depth": None}
    found = read_values(KNOWN, [f"@{tmp_path / name}"])
    assert {**found, "sizes": tuple(found["sizes"])} == expected
    assert read_values(KNOWN, [f"@{tmp_path / name}", "rate=3"])["rate"] == 3
    assert read_values(KNOWN, ["rate=3", f"@{tmp_path / name}"])["rate"] == 20


def test_a_section_of_a_file_is_named(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("train:\n  model:\n    rate: 4\nstarted: 2026-05-01\n")
    assert read_values(KNOWN, [f"@{file}:train.model"]) == {"rate": 4}
    with pytest.raises(UserErrorException, match="is a section") as error:
        read_values(KNOWN, [f"@{file}:train"])
    assert error.value.hint == f"Name the section: -p @{file}:train.model."
    with pytest.raises(UserErrorException, match="no section 'tests'"):
        read_values(KNOWN, [f"@{file}:tests"])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "rate: [1", "can't be read as YAML"),
        ("a.json", "{", "can't be read as JSON"),
        ("a.toml", "rate", "can't be read as TOML"),
        ("a.txt", "rate=1", "no file of parameters"),
        ("a.yaml", "- 1\n- 2\n", "no names and values"),
        ("a.yaml", "!!python/object/apply:os.getcwd []", "can't be read as YAML"),
    ],
)
def test_what_no_file_of_parameters_is_one_sentence(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserErrorException, match=words):
        read_values(KNOWN, [f"@{tmp_path / name}"])


def test_a_file_that_is_missing_and_a_word_that_assigns_nothing_are_said_so(tmp_path):
    for word in (f"@{tmp_path / 'none.yaml'}", "rate"):
        with pytest.raises(UserErrorException, match="can't be read|assigns nothing"):
            read_values(KNOWN, [word])


def test_several_values_without_a_sweep_are_told_of_it(tmp_path):
    (tmp_path / "p.yaml").write_text("rate: [1, 2]\n")
    for word in ("rate=1,2", f"@{tmp_path / 'p.yaml'}"):
        with pytest.raises(UserErrorException, match="has several values") as error:
            read_values(KNOWN, [word])
        assert "--sweep" in error.value.hint


def test_a_sweep_is_every_combination_in_order(tmp_path):
    assert read_grid(KNOWN, ["rate=1,2", "kind=a,b"]) == [
        {"rate": 1, "kind": "a"},
        {"rate": 1, "kind": "b"},
        {"rate": 2, "kind": "a"},
        {"rate": 2, "kind": "b"},
    ]
    assert [point["kind"] for point in read_grid(KNOWN, ['kind="a,b",c'])] == ["a,b", "c"]
    assert [list(point["sizes"]) for point in read_grid(KNOWN, ["sizes=[1,2],[3]"])] == [[1, 2], [3]]
    assert [point["depth"] for point in read_grid(KNOWN, ["depth=null,3"])] == [None, 3]
    assert read_grid(KNOWN, ["rate=1,1"]) == [{"rate": 1}] and read_grid(KNOWN, []) == [{}]
    (tmp_path / "p.yaml").write_text("rate: [1, 2]\nsizes: [3, 4]\n")
    assert read_grid(KNOWN, [f"@{tmp_path / 'p.yaml'}"]) == [
        {"rate": 1, "sizes": [3, 4]},
        {"rate": 2, "sizes": [3, 4]},
    ]
    with pytest.raises(UserErrorException, match="must be of type int"):
        read_grid(KNOWN, ["rate=1,two"])
    with pytest.raises(UserErrorException, match="at most"):
        read_grid(KNOWN, ["rate=" + ",".join(map(str, range(200))), "share=" + ",".join(map(str, range(200)))])


KEYS = [ParameterDefinition("train.rate", "float", 0.1), ParameterDefinition("seed", "int", 1)]


def test_sections_of_a_file_are_keys_where_these_are_parameters(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("seed: 3\ntrain:\n  rate: 0.3\n  depth: 4\nother: {a: 1}\n")
    assert read_values(KEYS, [f"@{file}", "train.rate=0.5"]) == {"seed": 3, "train.rate": 0.5}
    assert read_grid(KEYS, [f"@{file}", "train.rate=0.5,0.6"])[1] == {"seed": 3, "train.rate": 0.6}
    file.write_text("train: {rat: 0.3, depth: 4}\n")
    assert read_values(KEYS, [f"@{file}"]) == {"train.rat": 0.3}  # which is refused, since it looks like a mistake
