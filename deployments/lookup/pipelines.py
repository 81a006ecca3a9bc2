"""The pipeline in a file that a command line names, and values of its parameters."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from stepwell.deployments.lookup.reading_ahead import file_of, parsed
from stepwell.errors import StepwellError, UserErrorException
from stepwell.flows.parameters.assignments import read_grid as assignments_in_turn
from stepwell.flows.parameters.assignments import read_values
from stepwell.flows.public.pipeline import Pipeline


def load_pipeline(target: str) -> Pipeline:
    """Return the pipeline in `FILE` or `FILE:NAME`.

    It is the global `pipeline`, the only Pipeline, or what a function of that name returns.
    """
    path, name = file_of(target)
    module = _load(path)
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
    parsed(path)
    spec = importlib.util.spec_from_file_location(f"_stepwell_{path.stem}", path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (UserErrorException, KeyboardInterrupt):
        raise
    except SystemExit as error:
        raise UserErrorException(
            f"{path} ended this program while it was loaded",
            {"exit code": 0 if error.code is None else error.code},
            "Pass the file that defines the Pipeline: its scripts are run by its steps.",
        ) from error
    except Exception as error:
        if isinstance(error, StepwellError):
            raise
        raise UserErrorException(
            f"{path} can't be loaded: {type(error).__name__}: {error}", {"at": _line_of(error, path)}, "Mend the file."
        ) from error
    return module


def _line_of(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}"  # of a module that the file imports
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if os.path.realpath(f.filename) == str(path.resolve())
    ]
    return f"line {frames[-1].lineno}: {frames[-1].line}" if frames else "an import"


def read_parameters(pipeline: Pipeline, assignments: Iterable[str]) -> Mapping[str, Any]:
    """Return a value for every parameter of the pipeline, those of `name=value` and `@FILE` words among them."""
    return pipeline.values(read_values(pipeline.definition.parameters, assignments))


def read_grid(pipeline: Pipeline, assignments: Iterable[str]) -> list[dict[str, Any]]:
    """Return the values of each run of a sweep over the pipeline."""
    return assignments_in_turn(pipeline.definition.parameters, assignments)
