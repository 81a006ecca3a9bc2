"""What a notebook finds in its kernel: `dbutils`, `display`, Spark as soon as a cell names it, and Databricks' magics."""

from __future__ import annotations

import ast
import inspect
import json
import linecache
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from stepwell.drivers.spark import session, showing
from stepwell.drivers.spark.dbutils import DBUtils, NotebookExit, get_argument
from stepwell.drivers.spark.notebook_files import as_cell_magic, code_cells, read_notebook
from stepwell.drivers.spark.places import local_path, notebook_in, notebook_places
from stepwell.drivers.spark.programs import run_shown
from stepwell.drivers.spark.time_limits import TimeLimits

NOTEBOOK = "STEPWELL_NOTEBOOK"
"""The variable that tells the kernel of its notebook: JSON of its `path` and the values of its `widgets`."""

ENDED = NotebookExit.__name__
"""How the error is called that ends a notebook well."""

_LOOKS = ("list", "show", "freeze", "check", "--version")
_WITH_VALUE = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-c", "--constraint", "-t", "--target")
_SPARK = ("spark", "sc", "sqlContext")
_SPARK_WORD = re.compile(r"\b(spark|sc|sqlContext)\b|(?m:^\s*%%?sql\b)")
_MARKER = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")
_WIDGET = re.compile(r"\$\{(\w+)\}|\$(\w+)|getArgument\(\s*['\"](\w+)['\"]\s*\)")


def begin(shell: Any) -> None:
    """Prepare the kernel; called once, before the first cell."""
    told = json.loads(os.environ.pop(NOTEBOOK))
    from stepwell.drivers.spark.settings import offer_dbutils

    offer_dbutils()
    Kernel(shell, str(told["path"]), told["widgets"])


class Kernel:
    """The notebook that runs, and those that it runs: each with a namespace, and widgets, of its own."""

    def __init__(self, shell: Any, path: str, widgets: Mapping[str, str]) -> None:
        self.shell, self.path = shell, path
        self.names: dict[str, Any] = shell.user_ns
        self.utils = DBUtils(None, widgets, self.run)
        self.limits = TimeLimits()
        self.names.update(self._given())
        shell.input_transformers_cleanup.insert(0, as_cell_magic)
        shell.events.register("pre_run_cell", lambda info: self._want_spark(info.raw_cell))
        both: dict[str, Any] = {
            "sql": self.sql,
            "sh": self.sh,
            "fs": self.fs,
            "pip": self.pip,
            "conda": self.conda,
            **dict.fromkeys(("md", "md-sandbox", "restart_python"), self.nothing),
            **dict.fromkeys(("scala", "r"), self.other),
        }
        for name, function in both.items():
            shell.register_magic_function(function, "line_cell", name)
        shell.register_magic_function(self.include, "line", "run")

    def _given(self) -> dict[str, Any]:
        return {
            "dbutils": self.utils,
            "display": showing.display,
            "displayHTML": showing.displayHTML,
            "getArgument": get_argument(self.utils),
        }

    def _want_spark(self, source: str) -> None:
        """Give the namespace `spark`, `sc` and `sqlContext` if the cell names them: to start Spark takes seconds."""
        connect = session.is_connect(session.target()["master"])
        if "spark" not in self.names and _names_spark(source):
            self.names["spark"] = found = session.session(os.path.basename(self.path))
            if not connect:
                self.names["sc"] = found.sparkContext
        if "sqlContext" in source and "sqlContext" not in self.names and not connect:
            self.names["sqlContext"] = session.sql_context()

    # Other notebooks --------------------------------------------------------------------------------------------------

    def run(self, path: str, arguments: Mapping[str, str], timeout_seconds: float) -> str | None:
        """Run another notebook apart, and return the value that it exits with."""
        names = {"__name__": "__main__"}
        with self._inside(path), self.limits.of(timeout_seconds, path):
            self.names, self.utils = names, DBUtils(None, arguments, self.run)
            self.names.update(self._given())
            try:
                self._cells()
            except NotebookExit as end:
                return end.value
        return None

    def include(self, line: str) -> None:
        """Run another notebook in this one's namespace: `%run ./other $name="value"`."""
        path, *words = shlex.split(line)
        self.utils.widgets.give(dict(word.removeprefix("$").split("=", 1) for word in words if "=" in word))
        with self._inside(path):
            self._cells()

    @contextmanager
    def _inside(self, path: str) -> Iterator[None]:
        kept = self.path, self.names, self.utils
        self.path = _found(path, os.path.dirname(self.path))
        try:
            yield
        finally:
            self.path, self.names, self.utils = kept

    def _cells(self) -> None:
        for number, source in enumerate(code_cells(read_notebook(self.path)), 1):
            self._want_spark(source)
            code, name = self.shell.transform_cell(source), f"<cell {number} of {os.path.relpath(self.path)}>"
            linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)  # for tracebacks
            exec(compile(code, name, "exec", dont_inherit=True), self.names)  # noqa: S102

    # Magics -----------------------------------------------------------------------------------------------------------

    def sql(self, line: str, cell: str | None = None) -> None:
        """Run statements of SQL, show the result of the last one, and keep it as `_sqldf`."""
        found = None
        for statement in _statements(line if cell is None else cell):
            found = self._query(statement)
        if found is not None:
            self.names["_sqldf"] = found
            if found.columns:
                showing.display(found)

    def _query(self, statement: str) -> Any:
        self._want_spark("spark")
        widgets = self.utils.widgets.getAll()

        def filled(match: re.Match[str]) -> str:
            name = match[1] or match[2] or match[3]
            quoted = f"'{widgets.get(name)}'" if match[3] else widgets.get(name)
            return str(quoted) if name in widgets else match[0]

        text = _WIDGET.sub(filled, statement)
        wanted = {name: widgets[name] for name in _MARKER.findall(text) if name in widgets}
        return self.names["spark"].sql(text, args=wanted) if wanted else self.names["spark"].sql(text)

    def sh(self, line: str, cell: str | None = None) -> None:
        """Run a script of the shell; the notebook fails if it does. What it leaves in the background goes on."""
        code = run_shown(["/bin/sh", "-e", "-c", cell or line])
        if code:
            raise RuntimeError(f"The shell ended with exit code {code}")

    def fs(self, line: str, cell: str | None = None) -> None:
        """Do what `dbutils.fs` does: `%fs ls dbfs:/folder`."""
        for each in (line if cell is None else cell).splitlines():
            if words := shlex.split(each):
                command = None if words[0].startswith("_") else getattr(self.utils.fs, words[0], None)
                if command is None:
                    _refuse(
                        f"%fs has no command {words[0]}; there are the functions of dbutils.fs, such as ls, head, cp and put"
                    )
                found = _called(command, words)
                for one in found if isinstance(found, list) else [found]:
                    print(one)

    def pip(self, line: str, cell: str | None = None) -> None:
        """Accept what is installed already; nothing is installed behind the key's back."""
        for each in [line] if cell is None else cell.splitlines():
            if words := shlex.split(each, comments=True):
                self._pip(words)

    def _pip(self, words: list[str]) -> None:
        if words[0] in _LOOKS:
            if run_shown([sys.executable, "-m", "pip", *words]):
                _refuse(f"%pip {' '.join(words)} failed")
            return
        if words[0] != "install":
            _refuse(f"%pip {words[0]} is not run in a step: its packages are those of its environment.")
        from stepwell.drivers.spark.settings import is_installed

        wanted = list(_requirements(words[1:]))
        missing = [word for word in wanted if not (word.startswith("azureml") or is_installed(word))]
        if missing:
            _refuse(
                f"%pip would install {', '.join(missing)} behind the back of the step's key. "
                "Name it in `pypi_libraries=[PyPiLibrary(…)]` of the step, or install it where Spark runs."
            )
        print(f"Installed already: {', '.join(wanted)}")

    def conda(self, line: str, cell: str | None = None) -> None:
        """Refuse: nothing is installed behind the key's back."""
        _refuse("%conda is not run in a step. Name packages in `pypi_libraries=[PyPiLibrary(…)]` of the step.")

    def nothing(self, line: str, cell: str | None = None) -> None:
        """Do nothing: it is text for people."""

    def other(self, line: str, cell: str | None = None) -> None:
        """Refuse a cell in another language."""
        _refuse("A cell in Scala or R can't run here. Write it in Python or SQL.")


def _refuse(words: str) -> NoReturn:
    """Raise the error that a kernel shows as this sentence alone."""
    from IPython.core.error import UsageError  # type: ignore[import-not-found, unused-ignore]

    raise UsageError(words)


def _called(command: Callable[..., Any], words: list[str]) -> Any:
    """Call a function of `dbutils.fs` with the words of a line: `cp -r dbfs:/from dbfs:/to`."""
    recursive = {"recurse": True} if {"-r", "-R"}.intersection(words) else {}
    try:
        bound = inspect.signature(command).bind(*(word for word in words[1:] if word not in ("-r", "-R")), **recursive)
        for name, value in bound.arguments.items():
            kind = str(inspect.signature(command).parameters[name].annotation)
            if isinstance(value, str) and kind in ("int", "bool"):
                bound.arguments[name] = int(value) if kind == "int" else value.lower() == "true"
    except (TypeError, ValueError) as error:
        _refuse(f"%fs {words[0]}: {error}")
    return command(*bound.args, **bound.kwargs)


def _requirements(words: list[str]) -> Iterator[str]:
    """Yield what a command of pip asks for, also by files of requirements."""
    waiting = iter(words)
    for word in waiting:
        if word in ("-r", "--requirement"):
            yield from _of_file(next(waiting, ""))
        elif word in _WITH_VALUE:
            next(waiting, "")
        elif not word.startswith("-"):
            yield word


def _of_file(path: str) -> Iterator[str]:
    try:
        with open(local_path(path, session.folder()), encoding="utf-8") as stream:
            for line in stream:
                yield from _requirements(shlex.split(line, comments=True))
    except (OSError, ValueError) as error:
        _refuse(f"%pip can't read the requirements in {path}: {error}")


def _names_spark(source: str) -> bool:
    """Return whether a cell names Spark; one with magics in it, whether the word is there."""
    try:
        return any(isinstance(node, ast.Name) and node.id in _SPARK for node in ast.walk(ast.parse(source)))
    except SyntaxError:
        return bool(_SPARK_WORD.search(source))


def _found(path: str, beside: str) -> str:
    relative = not path.startswith("/")
    places = [(beside, path)] if relative else list(notebook_places(path, os.getcwd(), session.folder()))
    for folder, name in places:
        above, own = os.path.split(os.path.normpath(os.path.join(folder, name.lstrip("/"))))
        if found := notebook_in(above, own):
            return os.path.join(above, found)
    raise FileNotFoundError(
        f"There is no notebook {path}; it was looked for in {', '.join(folder for folder, _ in places)}"
    )


def _statements(text: str) -> list[str]:
    """Return the statements of a text, without the semicolons between them."""
    pieces = re.findall(r"""(?s)'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`[^`]*`|--[^\n]*|/\*.*?\*/|;|[^;'"`/-]+|.""", text)
    found = [""]
    for piece in pieces:
        if piece == ";":
            found.append("")
        elif not piece.startswith(("--", "/*")):
            found[-1] += piece
    return [statement.strip() for statement in found if statement.strip()]
