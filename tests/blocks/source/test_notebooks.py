"""Notebooks as code: what imports is kept, what is no Python is not."""

import json

import pytest
from stepwell.blocks.source.notebooks import code_of


def notebook(*cells):
    return json.dumps({"cells": [{"cell_type": kind, "source": source} for kind, source in cells]}).encode()


def test_code_cells_are_kept_without_magics():
    content = notebook(
        ("markdown", "import no"),
        ("code", ["%pip install x\n", "import a\n", "!ls\n"]),
        ("code", "%%sql\nselect import"),
        ("code", "import b"),
    )
    assert code_of(content).decode() == "\nimport a\n\n\nimport b"


@pytest.mark.parametrize("content", [b"", b"import a", b"[]", b'{"cells": [1]}', b'{"cells": [{"cell_type": "code"}]}'])
def test_what_is_no_notebook_has_no_code(content):
    assert code_of(content) == b""


def test_cells_that_begin_with_a_magic_of_databricks_are_no_python():
    cells = [
        {"cell_type": "code", "source": [f"{text}\n", "x"]} for text in ("%sql", "import a", " %md # T", "%run ./b")
    ]
    assert code_of(json.dumps({"cells": cells}).encode()) == b"import a\nx\n\nx"
