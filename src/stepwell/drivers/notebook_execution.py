"""Notebooks read, given parameters and run cell by cell: what they print is printed at once, and what was run is kept.

    notebook = read("train.ipynb")
    add_parameters(notebook, {"rate": 0.1})
    run(notebook, "train.ipynb", kept="outputs/train.ipynb")

It needs nbclient and a kernel, which are imported when they are needed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import IO, Any

MISSING = "Notebooks need nbclient and ipykernel: Install stepwell[notebooks]"
PARAMETERS, INJECTED = "parameters", "injected-parameters"
"""The tags of the cell with defaults, and of the cell that was put after it: those that papermill has."""

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LONGEST_SOCKET = 90
_PATIENCE_SECONDS = 600
_FORMAT = (4, 5)


class CellError(Exception):
    """A cell raised an error: its kind (`name`), its message, its traceback without colours, and the cell's number."""

    def __init__(self, name: str, message: str, trace: str, cell: int) -> None:
        super().__init__(f"{name}: {message}" if message else name)
        self.name, self.message, self.trace, self.cell = name, message, trace, cell

    @property
    def ends_run(self) -> bool:
        """Whether the cell ended the notebook on purpose, as `sys.exit()` does; `exit_code` is what it asked for."""
        return self.name == "SystemExit"

    @property
    def exit_code(self) -> int:
        """The exit code of a script that raised this."""
        if not self.ends_run:
            return 1
        return int(self.message) if re.fullmatch(r"-?\d+", self.message) else int(self.message not in ("", "None"))


class Variable:
    """A value that stands in an environment variable, so that it is not written into the notebook."""

    def __init__(self, name: str) -> None:
        self.name = name


# Reading and changing -----------------------------------------------------------------------------------------------


def read(path: str) -> dict[str, Any]:
    """Return the notebook of a file, in the newest format; raise ValueError if it holds none."""
    import_engine()
    import nbformat

    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
        if content["nbformat"] == _FORMAT[0]:  # older ones of this format have no names of cells
            content["nbformat_minor"] = max(_FORMAT[1], content.get("nbformat_minor", 0))
            for number, cell in enumerate(content["cells"]):
                cell.setdefault("id", f"cell-{number}")
        found: dict[str, Any] = nbformat.reads(json.dumps(content), as_version=_FORMAT[0])
    except (ValueError, KeyError, TypeError, AttributeError, nbformat.ValidationError) as error:
        raise ValueError(f"{path} is no notebook: {str(error).splitlines()[0] if str(error) else error!r}") from None
    return found


def of_cells(sources: list[str]) -> dict[str, Any]:
    """Return a notebook of these code cells."""
    import_engine()
    from nbformat import v4

    found: dict[str, Any] = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
    return found


def language_of(notebook: Mapping[str, Any]) -> str:
    """Return the language of a notebook's cells, in small letters; Python unless it says otherwise."""
    metadata = notebook.get("metadata", {})
    said = metadata.get("kernelspec", {}).get("language") or metadata.get("language_info", {}).get("name")
    return str(said or "python").lower()


def add_parameters(notebook: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Insert a cell that assigns the values, after the one that is tagged `parameters`, else as the first.

    The cell of an earlier run is replaced. Raise ValueError for a language that isn't Python or R, or for a name that can't be
    assigned.
    """
    cells = [cell for cell in notebook["cells"] if INJECTED not in _tags(cell)]
    if values:
        from nbformat import v4

        source = _assignments(language_of(notebook), values)
        at = next((number for number, cell in enumerate(cells, 1) if PARAMETERS in _tags(cell)), 0)
        cells.insert(at, v4.new_code_cell(source, id=INJECTED, metadata={"tags": [INJECTED]}))
    notebook["cells"] = cells


def _tags(cell: Mapping[str, Any]) -> list[str]:
    return list(cell.get("metadata", {}).get("tags", ()))


def _assignments(language: str, values: Mapping[str, Any]) -> str:
    literal = {"python": python_literal, "r": r_literal}.get(language)
    if literal is None:
        raise ValueError(f"Parameters can be given to notebooks in Python and R, not in {language}")
    sign = "=" if language == "python" else "<-"
    for name in values:
        if not (name.isidentifier() if language == "python" else re.fullmatch(r"[A-Za-z.][\w.]*", name)):
            raise ValueError(f"{name!r} can't be the name of a parameter of a notebook")
    return "\n".join(["# Parameters", *(f"{name} {sign} {literal(value)}" for name, value in values.items())])


def python_literal(value: Any) -> str:
    """Return the Python expression of a value that JSON can hold, or of a `Variable`."""
    if isinstance(value, Variable):
        return f'__import__("os").environ["{value.name}"]'
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124
        return f'float("{value}")'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(python_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {python_literal(item)}' for key, item in value.items())}}}"
    return repr(value)


def r_literal(value: Any) -> str:
    """Return the R expression of a value that JSON can hold, or of a `Variable`; integers are R's own where they fit."""
    if isinstance(value, Variable):
        return f'Sys.getenv("{value.name}")'
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return f"{value}L" if abs(value) < 2**31 else str(value)
    if isinstance(value, float):
        return {"nan": "NaN", "inf": "Inf", "-inf": "-Inf"}.get(str(value), repr(value))
    if isinstance(value, (list, tuple)):
        return f"list({', '.join(map(r_literal, value))})"
    if isinstance(value, dict):
        return f"list({', '.join(f'{_r_text(str(key))} = {r_literal(item)}' for key, item in value.items())})"
    return _r_text(str(value))


def _r_text(text: str) -> str:
    # JSON writes what is beyond the first plane as two surrogates, which R refuses; all else is escaped alike.
    return json.dumps(text, ensure_ascii=False)


# Running ------------------------------------------------------------------------------------------------------------


def run(
    notebook: dict[str, Any],
    name: str,
    *,
    kept: str,
    setup: str = "",
    out: IO[str] | None = None,
    err: IO[str] | None = None,
) -> None:
    """Run the cells one after the other, in the current directory, with the Python that runs this.

    What they print is written to `out` and `err` (standard output and error) as it comes. After every cell the notebook, with
    what its cells showed so far, is written to the file `kept`. `setup` is code that runs before the first cell and is not kept;
    `name` says which notebook it is. A notebook of another language runs in the kernel that it names.

    Raises CellError for the error of a cell, and ValueError if there is no such kernel, it dies, or a signal ends it.
    """
    import_engine()
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    screen = _Screen(out or sys.stdout, err or sys.stderr)
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        client = _client(
            notebook, screen, kept, _opening(setup) if language_of(notebook) == "python" else setup, folder
        )
        _write(notebook, kept)
        try:
            with open(os.path.join(folder, "unheard"), "wb") as unheard:  # what the kernel passes on, it prints, too
                client.execute(cwd=os.getcwd(), env=_variables(folder), stdout=unheard, stderr=unheard)
        except CellExecutionError as error:
            raise _error_of(notebook, error, client.at_work) from None
        except CellError:
            raise
        except Exception as error:
            if not (client.was_ended or isinstance(error, DeadKernelError)):
                raise
            words = f"The notebook {name} was ended" if client.was_ended else f"The kernel of {name} died"
            raise ValueError(f"{words} while {_cell(client)} was at work") from None
        finally:
            _write(notebook, kept)


def import_engine() -> None:
    """Import what runs notebooks; end the process with a sentence that says what to install if it isn't there."""
    try:
        import ipykernel  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
        import nbclient  # noqa: F401
    except ImportError as error:
        if error.name and error.name.partition(".")[0] in ("ipykernel", "nbclient", "nbformat", "jupyter_client"):
            raise SystemExit(f"{MISSING}.") from None
        raise


class _Screen:
    """Writes what cells show, as plain text."""

    def __init__(self, out: IO[str], err: IO[str]) -> None:
        self._out, self._err = out, err

    def show(self, kind: str, content: Mapping[str, Any]) -> None:
        """Write what one message of a kernel shows."""
        if kind == "stream":
            target = self._err if content["name"] == "stderr" else self._out
            target.write(content["text"])
        elif kind in ("execute_result", "display_data"):
            target = self._out
            text = content["data"].get("text/plain")
            if text:
                target.write(f"{''.join(text)}\n")
        else:
            return
        target.flush()


def _opening(setup: str) -> str:
    """Return the code that lets a kernel import what this process can, and then `setup`."""
    lines = f"import sys\nsys.path += [p for p in {sys.path!r} if p not in sys.path]\ndel sys"
    return f"{lines}\n{setup}" if setup else lines


def _client(notebook: Any, screen: _Screen, kept: str, setup: str, folder: str) -> Any:  # noqa: C901
    import asyncio

    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    own = language_of(notebook) == "python"

    class Specs(KernelSpecManager):
        """Finds this Python as the kernel of notebooks in Python, whatever they call it."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            if not own:
                try:
                    return super().get_kernel_spec(kernel_name)  # type: ignore[no-any-return, unused-ignore]
                except NoSuchKernel:
                    raise ValueError(f"The kernel {kernel_name!r} of the notebook isn't installed") from None
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=argv, language="python", display_name="Python")

    class Client(NotebookClient):
        """A client that shows what cells show at once, and knows which code cell is `at_work`, counted from 1."""

        at_work = 0
        was_ended = False
        _end: Any = None

        async def _async_cleanup_kernel(self) -> None:
            """End the kernel once; if that is for a signal, nothing waits for the cell that is at work."""
            if self._end is None:
                waiting = self.task_poll_for_reply
                if waiting is None or not waiting.done():
                    self.was_ended, self.shutdown_kernel = True, "immediate"
                if waiting is not None:
                    waiting.cancel()
                self._end = asyncio.ensure_future(super()._async_cleanup_kernel())
            await self._end

        def note(self, cell_index: int, **_: Any) -> None:
            """Note which cell is at work."""
            self.at_work = sum(cell["cell_type"] == "code" for cell in notebook["cells"][: cell_index + 1])

        async def async_start_new_kernel_client(self) -> Any:
            started = await super().async_start_new_kernel_client()
            if setup:
                await _run_setup(started, setup)
            return started

        def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
            screen.show(msg["msg_type"], msg["content"])
            return super().process_message(msg, cell, cell_index)

    spec = notebook.get("metadata", {}).get("kernelspec", {})
    manager = AsyncKernelManager(
        kernel_name=str(spec.get("name") or "python3"),
        kernel_spec_manager=Specs(),
        connection_file=os.path.join(folder, "connection.json"),
    )
    if len(folder) < _LONGEST_SOCKET:  # over a port, anybody on this machine could read what cells show
        manager.transport, manager.ip = "ipc", os.path.join(folder, "s")
    client = Client(
        notebook,
        km=manager,
        timeout=None,
        startup_timeout=_PATIENCE_SECONDS,
        iopub_timeout=_PATIENCE_SECONDS,  # a busy machine is no reason to lose what a cell showed
        allow_errors=False,
        record_timing=False,  # the same cells with the same results are the same notebook
        on_cell_executed=lambda **_: _write(notebook, kept),
    )
    client.on_cell_execute = client.note
    client.owns_km = True  # it ends the kernel with the notebook, not with this process
    return client


def _variables(folder: str) -> dict[str, str]:
    """Return the variables of a kernel: it ends with this process, and has no profile or history of the user's."""
    return {**os.environ, "JPY_PARENT_PID": str(os.getpid()), "IPYTHONDIR": os.path.join(folder, "ipython")}


async def _run_setup(client: Any, code: str) -> None:
    failed = await client._async_execute_interactive(code, silent=False, store_history=False, allow_stdin=False)  # noqa: SLF001
    content = failed["content"]
    if content["status"] == "error":
        raise CellError(content["ename"], content["evalue"], _plain(content["traceback"]), 0)


def _write(notebook: dict[str, Any], kept: str) -> None:
    import nbformat

    os.makedirs(os.path.dirname(os.path.abspath(kept)), exist_ok=True)
    draft = f"{kept}.part"
    with open(draft, "w", encoding="utf-8") as stream:
        nbformat.write(notebook, stream)
    os.replace(draft, kept)


def _cell(client: Any) -> str:
    return f"its cell {client.at_work}" if client.at_work else "its beginning"


def _error_of(notebook: Mapping[str, Any], error: Any, at_work: int) -> CellError:
    """Return the error that a cell shows; what Jupyter says in a sentence alone, it shows as none."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in reversed(list(enumerate(code, 1))):
        for output in cell.get("outputs", ()):
            if output["output_type"] == "error":
                return CellError(output["ename"], output["evalue"], _plain(output["traceback"]), number)
    name, words = (getattr(error, fact, "") for fact in ("ename", "evalue"))
    return CellError(name or "Error", words or "a cell failed without saying why", "", at_work)


def _plain(lines: list[str]) -> str:
    return _ANSI.sub("", "\n".join(lines))
