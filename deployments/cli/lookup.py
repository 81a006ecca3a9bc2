"""Lookup of what a command line names: the workspace, the pipeline in a file, the run."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from stepwell.blocks.workspace.store_identity import default_workspace
from stepwell.errors import ServerException, StepwellError, UserErrorException
from stepwell.flows.parameters.pipeline_parameter import parse
from stepwell.flows.public.pipeline import Pipeline
from stepwell.flows.public.pipeline_run import PipelineRun, all_runs
from stepwell.flows.public.run_references import matching_runs
from stepwell.flows.public.workspace import Workspace
from stepwell.model.definitions import ParameterDefinition

T = TypeVar("T")


def _tell(words: str) -> None:
    print(words, file=sys.stderr)


def find_workspaces(name: str) -> list[Workspace]:
    """Return the workspace of that name; without a name the nearest config's, or that of `stepwell use`, or all that there are."""
    if name:
        return [Workspace.get(name)]
    try:
        return [Workspace.from_config()]
    except UserErrorException:
        known, chosen = Workspace.list(), default_workspace()
        return [known[chosen]] if chosen in known else list(known.values())


def find_stores(name: str, tell: Callable[[str], None] = _tell) -> list[Workspace]:
    """Return what `find_workspaces` does, without those whose store is another home's, or can't be opened."""
    return of_each(find_workspaces(name), _if_here, tell)


def _if_here(workspace: Workspace) -> list[Workspace]:
    return [workspace] if workspace.is_here and workspace.store else []


def of_each(
    workspaces: Iterable[Workspace], look: Callable[[Workspace], Iterable[T]], tell: Callable[[str], None] = _tell
) -> list[T]:
    """Return what `look` finds in the workspaces; one of several that is broken costs no more than its own line."""
    found: list[T] = []
    known = list(workspaces)
    for workspace in known:
        try:
            found += look(workspace)
        except (StepwellError, OSError) as error:
            if len(known) == 1 or isinstance(error, ServerException):
                raise
            words = error.title if isinstance(error, StepwellError) else str(error)
            tell(f"The workspace {workspace.name} is left out: {words}")
    return found


def find_run(run_id: str, workspace: str) -> PipelineRun:
    """Return the run of that name or id, in the named workspace or in any; `last` is the newest."""
    workspaces = [Workspace.get(workspace)] if workspace else of_each(Workspace.list().values(), _if_here)
    chosen = [one for one in workspaces if one.name == default_workspace()]
    if run_id == "last":
        newest = of_each(chosen or workspaces, lambda one: all_runs(one)[:1])
        found = sorted(newest, key=lambda run: float(run.folder.facts().get("created", 0)))[-1:]
    else:
        found = of_each(
            workspaces, lambda one: [PipelineRun.get(one, run.run_id) for run in matching_runs(one, run_id)]
        )
    used = [run for run in found if run.workspace.name == default_workspace()]
    if 1 in (len(found), len(used)):
        return (used if len(used) == 1 else found)[0]
    facts = {f"{run.name} in {run.workspace.name}": run.id for run in found[:5]}
    read_only = [str(one.store.root) for one in workspaces if one.store.read_only]
    if read_only and not found:
        facts = {"read-only": ", ".join(read_only) + "; new runs there are kept while they last"}
    raise UserErrorException(
        f"{run_id!r} means several runs" if found else f"There is no run {run_id!r}",
        facts,
        "Name one by its id, or its workspace with -w." if found else "List the runs with `stepwell runs`.",
    )


def load_pipeline(target: str) -> Pipeline:
    """Return the pipeline in `FILE` or `FILE:NAME`.

    It is the global `pipeline`, the only Pipeline, or what a function of that name returns.
    """
    path, _, name = target.partition(":") if not Path(target).exists() else (target, "", "")
    module = _load(Path(path))
    if name or isinstance(getattr(module, "pipeline", None), Pipeline) or callable(getattr(module, "pipeline", None)):
        found = getattr(module, name or "pipeline", None)
        found = found() if callable(found) and not isinstance(found, Pipeline) else found
        if isinstance(found, Pipeline):
            return found
        raise UserErrorException(f"{name or 'pipeline'!r} in {path} is no Pipeline", hint="Name a Pipeline: FILE:NAME.")
    pipelines = {id(value): key for key, value in vars(module).items() if isinstance(value, Pipeline)}
    if len(pipelines) != 1:
        raise UserErrorException(
            f"There are several pipelines in {path}" if pipelines else f"There is no pipeline in {path}",
            {"pipelines": ", ".join(pipelines.values())} if pipelines else {},
            "Call one `pipeline`, or name it: FILE:NAME.",
        )
    return getattr(module, next(iter(pipelines.values())))  # type: ignore[no-any-return]


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserErrorException(f"There is no file {path}", hint="Correct the path.")
    spec = importlib.util.spec_from_file_location(f"_stepwell_{path.stem}", path.resolve())
    if spec is None or spec.loader is None:
        raise UserErrorException(f"{path} is no Python file", hint="Pass a file that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (UserErrorException, KeyboardInterrupt):
        raise
    except Exception as error:
        if isinstance(error, StepwellError):
            raise
        raise UserErrorException(
            f"{path} can't be loaded: {type(error).__name__}: {error}", {"at": _line_of(error, path)}, "Mend the file."
        ) from error
    return module


def _line_of(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}"
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if os.path.realpath(f.filename) == str(path.resolve())
    ]
    return f"line {frames[-1].lineno}: {frames[-1].line}" if frames else "an import"


def read_parameters(pipeline: Pipeline, assignments: Iterable[str]) -> Mapping[str, Any]:
    """Return a value for every parameter of the pipeline, those of `name=value` texts among them."""
    return pipeline.values(read_values(pipeline.definition.parameters, assignments))


def read_values(definitions: Iterable[ParameterDefinition], assignments: Iterable[str]) -> dict[str, Any]:
    """Return the values of `name=value` texts, in the types of the parameters."""
    known = {definition.name: definition for definition in definitions}
    given = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            raise UserErrorException(f"{assignment!r} assigns nothing", hint="Write -p name=value.")
        given[name] = parse(known[name], text) if name in known else text
    return given
