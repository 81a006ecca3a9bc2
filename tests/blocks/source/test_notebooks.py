"""Notebooks as code: what imports is kept, what is no Python is not."""

import ast
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
    assert code_of(content).decode() == "pass\nimport a\npass\n\n\nimport b"


@pytest.mark.parametrize("content", [b"", b"import a", b"[]", b'{"cells": [1]}', b'{"cells": [{"cell_type": "code"}]}'])
def test_what_is_no_notebook_has_no_code(content):
    assert code_of(content) == b""


def cells(*sources: str, **metadata: object) -> bytes:
    made = [{"cell_type": "code", "source": source} for source in sources]
    return json.dumps({"cells": made, "metadata": metadata}).encode()


def imported(content: bytes) -> set[str]:
    tree = ast.parse(code_of(content))
    return {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}


def test_what_only_ipython_understands_takes_no_imports_along():
    content = cells(
        "if True:\n    %matplotlib inline\nimport a",
        "files = !ls\nimport b\nx = %timeit -o 1",
        "import c\nc.f?\nawait c.g()",
        "%%time\nimport d",
        "%%bash\nimport none",
        "def broken(:\n    pass\nimport e",
        "for x in",
    )
    assert imported(content) == {"a", "b", "c", "d", "e"}


def test_a_notebook_of_another_language_has_no_python():
    assert code_of(cells("import a", kernelspec={"name": "ir", "language": "R"})) == b""
    assert code_of(cells("import a", language_info={"name": "scala"})) == b""
    assert code_of(cells("import a", kernelspec={"name": "python3"})) == b"import a"


def test_cells_that_begin_with_a_magic_of_databricks_are_no_python():
    assert imported(cells("%sql\nimport x", "import a\nx", " %md # T\nimport y", "%run ./b\nimport c")) == {"a", "c"}
