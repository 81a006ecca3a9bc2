"""Scripts of U-SQL, run in this process."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("lark")


class Usql:
    """A folder in which scripts are run."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        (folder / "out").mkdir()
        monkeypatch.chdir(folder)

    def write(self, name, text, encoding="utf-8"):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return name

    def run(self, text, settings=None, **values):
        """Run a script; return the text of each file below `@@out@@`, with `\\n` at the ends of lines."""
        from stepwell.drivers.usql.engine import Engine
        from stepwell.drivers.usql.csharp.syntax import ScriptText

        out = str(self.folder / "out")
        script = ScriptText("s.usql", text, {"out": out, **{name: str(value) for name, value in values.items()}})
        engine = Engine(script, {"inputs": (), "outputs": (out,)}, str(self.folder / "scratch"), **(settings or {}))
        for output in engine.compile():
            engine.run(output)
        return {name: (self.folder / "out" / name).read_bytes() for name in sorted(os.listdir(out)) if name != "deep"}

    def rows(self, query, before="", options="quoting: false", order=""):
        """Return the lines that a query makes."""
        text = (
            f'{before}\n@result = {query};\nOUTPUT @result TO "@@out@@/r.csv" {order} USING Outputters.Csv({options});'
        )
        return self.run(text)["r.csv"].decode().split("\r\n")[:-1]

    def one(self, expression, rows="(VALUES (1)) AS t(one)", before=""):
        """Return the text of an expression."""
        return self.rows(f"SELECT {expression} AS x FROM {rows}", before)[0]

    def error(self, text, **values):
        """Return what is said of a script that can't be run."""
        from stepwell.drivers.usql.csharp.syntax import UsqlError

        with pytest.raises(UsqlError) as caught:
            self.run(text, **values)
        return str(caught.value)


@pytest.fixture
def usql(tmp_path, monkeypatch):
    return Usql(tmp_path, monkeypatch)
