"""Checks of a step's environment before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from stepwell.blocks.environments.base_interpreter import base_interpreter, minor
from stepwell.blocks.environments.recipe import recipe_of
from stepwell.blocks.source.missing_files import missing_module_hint
from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.blocks.system.companions import companion_names
from stepwell.errors import UserErrorException
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.keys.binding import imports_of
from stepwell.flows.keys.foretelling import refuse_mistakes
from stepwell.model.definitions import StepDefinition
from stepwell.model.records import Artifact, StepCall

_MOST_NAMED = 5


def check_environment(context: RunContext, step: StepDefinition) -> None:
    """Raise UserErrorException if a step on this machine lacks packages, or needs some that can't be installed here."""
    if step.driver is not None and step.driver.on_host:
        _check_driver(context, step.as_job)
    if not context.compute(step.compute_target).inherits_packages:
        return
    step = context.where_it_runs(step)
    environment = step.environment
    if environment.isolated:
        recipe_of(environment, base_interpreter(environment.python))
        return
    if step.script is None and step.driver is None:
        return
    packages = context.packages_of(environment.interpreter)
    if minor(environment.python) not in ("", minor(packages.python_version)):
        context.warn(
            f"Step {step.name!r} asks for Python {environment.python} but for no packages, "
            f"so it inherits the Python in use, {packages.python_version}"
        )
    if "PYTHONPATH" not in environment.variables:
        if step.driver is None or not step.driver.on_host:
            _check_driver(context, step)
        _check_imports(context, step)


def check_known(context: RunContext, call: StepCall) -> None:
    """Raise UserErrorException for what the step's driver knows beforehand that it could not get past."""
    target = context.compute(call.definition.compute_target)
    if call.definition.driver is not None and not getattr(target, "is_remote", False):  # there no driver runs
        kinds = [kind.__name__ for kind in type(target).__mro__]
        refuse_mistakes(context.store, call, kinds, partial(_place_of, context))


def _place_of(context: RunContext, artifact: Artifact) -> str:
    """Return where data stand on this machine, links followed; '' if they don't, or would have to be put together."""
    if artifact.kept or not artifact.datastore:
        return ""
    root = context.storage(artifact.datastore).local_root
    return str(root / artifact.path) if root is not None else ""


def _check_driver(context: RunContext, step: StepDefinition) -> None:
    if step.driver is None or not step.driver.modules:
        return
    missing = context.packages_of(step.environment.interpreter).missing_modules(step.driver.modules)
    if missing:
        extra = step.driver.extra
        title = f"The step {step.name!r} needs {', '.join(missing)}, which is not installed"
        hint = f"Install it: `pip install 'stepwell[{extra}]'`." if extra else "Install what provides it."
        raise UserErrorException(title, {"step type": step.type}, hint)


def _check_imports(context: RunContext, step: StepDefinition) -> None:
    packages = context.packages_of(step.environment.interpreter)
    required = dict(imports_of(step, context.source(step.source_directory), packages).required)
    made_up = step.driver.provides if step.driver else ()
    for name in ("stepwell", *companion_names(), *made_up):  # scripts find them wherever they run
        required.pop(name, None)
    missing = packages.missing_modules(required) if required else ()
    if missing:
        listed = ", ".join(missing)
        raise UserErrorException(
            f"The step {step.name!r} imports {'modules that are' if missing[1:] else 'a module that is'} "
            f"not installed: {listed}",
            {
                "script": step.script or "",
                "imported in": ", ".join(dict.fromkeys(required[name] for name in missing)),
                "interpreter": step.environment.interpreter or "the one in use",
            },
            missing_module_hint(missing[0], step.source_directory)
            or "Install what provides it, or give the step an `environment` that lists it.",
        )


def differing_line(run: RunFolder, steps: Mapping[str, Event] | None = None) -> str:
    """Return the one line that warns of packages on which steps ran in place of those that they ask for, '' if none differed."""
    found = {
        step: list(map(str, state["differs"])) for step, state in (steps or run.steps()).items() if state.get("differs")
    }
    told = list(dict.fromkeys(text for each in found.values() for text in each))
    if not told:
        return ""
    who = f"Step {next(iter(found))!r}" if len(found) == 1 else f"{len(found)} steps"
    shown = ", ".join(told[:_MOST_NAMED]) + (f" and {len(told) - _MOST_NAMED} more" if told[_MOST_NAMED:] else "")
    words = f"{who} ran on installed packages, of which {len(told)} differ{'s' if len(told) == 1 else ''} from what is asked for"
    return f"{words}: {shown}; `stepwell show {run.reference}` lists them"
