"""What can be told of a pipeline's file by reading it: mistakes that are refused before Prefect's server is started for it.

Only files are judged that do nothing but define: their calls are of Stepwell's classes or known to change nothing. All else is
told when the file was loaded, in the same words.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from stepwell.errors import UserErrorException
from stepwell.flows.parameters.assignments import read_assignments
from stepwell.flows.parameters.pipeline_parameter import refuse_unknown

_OURS = ("stepwell", "azureml")
_QUIET_MODULES = ("__future__", "typing", "os", "pathlib", "sys", "datetime")
_QUIET_CALLS = (
    "print",
    "str",
    "int",
    "float",
    "bool",
    "list",
    "tuple",
    "dict",
    "set",
    "len",
    "sorted",
    "Path",
    "PurePath",
)
_QUIET_METHODS = (
    *("create", "get", "from_config", "setup", "get_default_datastore", "path", "join", "dirname", "abspath", "getenv"),
    *("as_mount", "as_download", "as_upload", "as_input", "as_dataset", "as_named_input", "get_by_name", "resolve"),
    *("absolute", "parent", "validate", "format", "parse_delimited_files", "parse_parquet_files"),
)


def file_of(target: str) -> tuple[Path, str]:
    """Return the file of `FILE` or `FILE:NAME`, and the name, '' if there is none."""
    path, _, name = target.partition(":") if not Path(target).exists() else (target, "", "")
    return Path(path), name


def parsed(path: Path) -> ast.Module:
    """Return the syntax of a Python file; raise UserErrorException if it has none, or there is no such file."""
    if not path.is_file():
        raise UserErrorException(f"There is no file {path}", hint="Correct the path.")
    if path.suffix != ".py":
        raise UserErrorException(f"{path} is no Python file", hint="Pass a file that ends in .py.")
    try:
        return ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = {"at": f"line {error.lineno}"} if isinstance(error, SyntaxError) else {}
        raise UserErrorException(
            f"{path} can't be loaded: {type(error).__name__}: {error}", where, "Mend the file."
        ) from None
    except OSError as error:
        raise UserErrorException(f"{path} can't be read", {"reason": error.strerror}, "Correct the path.") from error


def refuse_mistakes(path: Path, assignments: Iterable[str] = ()) -> None:
    """Raise UserErrorException for what the file shows that no run of its pipeline could get past."""
    given = [one.name for one in read_assignments(assignments)]
    tree = parsed(path)
    if not _only_defines(tree):
        return
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if not any(_name(call) == "Pipeline" for call in calls):
        return
    _refuse_missing_scripts(path, tree, calls)
    known = [_literal(call, 0, "name") for call in calls if _name(call) == "PipelineParameter"]
    if all(known) and not any(map(_may_name_keys, calls)):
        refuse_unknown(given, sorted({*filter(None, known)}))


def _may_name_keys(call: ast.Call) -> bool:
    """Return whether a call may name keys of a file of parameters, which are parameters too."""
    return _name(call) == "ParameterFile" or not isinstance(_given(call, "params"), (ast.Dict, type(None)))


def may_define(path: Path) -> bool:
    """Return whether a file may define a pipeline, as far as its imports tell: a step's script doesn't, for one."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module in _OURS and not node.level:
            if [alias.name for alias in node.names] != ["Run"]:
                return True
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            roots = [module.partition(".")[0] for module in modules]
            if any(root in (*_OURS, "prefect", "") or _is_beside(root, path.parent) for root in roots):
                return True
    return False


def _is_beside(name: str, folder: Path) -> bool:
    return any((base / entry).exists() for base in (folder, Path.cwd()) for entry in (name, f"{name}.py"))


def _refuse_missing_scripts(path: Path, tree: ast.Module, calls: Iterable[ast.Call]) -> None:
    if any(keyword.arg in (None, "default_source_directory") for call in calls for keyword in call.keywords):
        return
    for call in _used(tree):
        script, source = _literal(call, 0, "script_name"), _given(call, "source_directory")
        if _name(call) != "PythonScriptStep" or not script or len(call.args) > 1:
            continue
        place = _literal(call, 99, "source_directory")
        if source is not None and not place:
            continue
        folders = (path.parent, Path.cwd()) if source is None else (Path(place),)
        if not any((folder / script).is_file() for folder in folders):
            raise UserErrorException(
                f"Step [{_literal(call, 99, 'name') or os.path.basename(script)}]: script not found at: {folders[0].resolve() / script}",
                hint="Correct `script_name`, or pass `source_directory=`: a script is looked for beside the file that makes the "
                "step, then in the current directory.",
            )


def _used(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls whose results are used: the names that they are assigned to are read somewhere."""
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        names = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        if names & read or "pipeline" in names:
            yield from (node for node in ast.walk(statement) if isinstance(node, ast.Call))


def _only_defines(tree: ast.Module) -> bool:
    """Return whether the file runs from top to bottom and changes nothing on its way, so that what it shows is what there is."""
    known = {*_QUIET_CALLS}
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            names = [statement.module or ""] if not statement.level else [""]
            if any(alias.name == "*" for alias in statement.names):
                return False
        elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Expr)):
            continue
        else:
            return False
        if any(name.partition(".")[0] not in (*_OURS, *_QUIET_MODULES) for name in names):
            return False
        if any(name.partition(".")[0] in _OURS for name in names):
            known |= {alias.asname or alias.name for alias in statement.names}
    return all(_is_quiet(node, known) for node in ast.walk(tree) if isinstance(node, ast.Call))


def _is_quiet(call: ast.Call, known: Iterable[str]) -> bool:
    if isinstance(call.func, ast.Name):
        return call.func.id in known
    return isinstance(call.func, ast.Attribute) and (call.func.attr in _QUIET_METHODS or call.func.attr in known)


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _given(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _literal(call: ast.Call, place: int, name: str) -> str:
    """Return the text of an argument; '' if it is none that can be read."""
    value = call.args[place] if len(call.args) > place else _given(call, name)
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
