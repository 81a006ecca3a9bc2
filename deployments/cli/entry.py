"""The command `stepwell`: run by the resident runner if there is one that is as this process, else right here.

Until it is known that there is none, this imports little, and nothing of Prefect. Started as a program with a runner's name it is that runner.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from stepwell.deployments.resident import identity

_PROGRAM = "stepwell.deployments.cli.entry"
_WHAT_COMMANDS_USE = (
    "stepwell.deployments.cli.comparing.sweeping",
    "stepwell.deployments.lookup.passing_runs",
    "stepwell.deployments.lookup.pipelines",
    "stepwell.deployments.lookup.reading_ahead",
    "stepwell.deployments.lookup.runs",
    "stepwell.deployments.lookup.workspaces",
    "stepwell.deployments.reports.json_text",
    "stepwell.deployments.reports.report",
    "stepwell.flows.public.pipeline",
    "stepwell.flows.public.pipeline_run",
    "stepwell.flows.public.published_pipeline",
    "stepwell.flows.public.workspace",
    "stepwell.flows.runs.flow_run",
    "stepwell.flows.runs.launch",
    "stepwell.flows.runs.live.progress",
    "stepwell.flows.runs.summary",
    "stepwell.blocks.server.connection",
    "prefect.client.orchestration",
    "prefect.flow_engine",
    "prefect.task_engine",
    "stepwell.script.workspace.public_names",
    "stepwell.drivers.spark.session",
    "anyio._backends._asyncio",
    "encodings.ascii",
    "encodings.idna",
    "pydantic.v1",
    "rich.live",
    "rich.progress",
    "rich.table",
    "typer._adapters",
    "typer._click.decorators",
)
"""What most commands import, and the runner has imported before; of libraries what these import late."""


_MODELS = ("BlockDocument", "Flow", "FlowRun", "FlowRunPolicy", "State", "StateDetails")
_ACTIONS = ("ArtifactCreate", "FlowCreate", "FlowRunCreate", "FlowRunUpdate", "LogCreate", "StateCreate")
"""Models of Prefect that most commands use, and that it makes when they are first used."""

_CALLED = {
    "Workspace": ("create", "of_block", "opened", "require_here", "get_default_datastore", "require_folders"),
    "Datastore": ("__init__", "path", "readable", "inside", "require_here", "register"),
    "LocalCompute": ("__init__", "check", "demand", "capacity", "attach_to"),
    "DataReference": ("__init__",),
    "PipelineData": ("__init__",),
    "PipelineParameter": ("__init__",),
    "OutputFileDatasetConfig": ("__init__",),
    "PythonScriptStep": ("__init__", "define", "decided_later"),
    "CommandStep": ("__init__",),
    "Pipeline": ("__init__", "values", "flow_with", "plan"),
}
"""What most pipelines call."""

_BY_ITSELF = ("serve", "init", "doctor")
"""What is at work for long, and is looked after as the process that it is; and what needs no runner, and starts none."""


def main() -> None:
    """Run the command line, and end as it ends."""
    if sys.argv[1:2] not in ([name] for name in _BY_ITSELF) and not identity.reason_against():
        from stepwell.deployments.resident import client

        with suppress(OSError, ValueError, EOFError):  # any doubt: it runs here
            name = identity.name()
            client.run_there(name)  # returns only if it did not run
            client.start_one(name, _PROGRAM)
    _run()


def _run() -> None:
    from stepwell.deployments.cli.main import main as command_line

    command_line()


def _be_resident(name: str) -> None:
    from stepwell.deployments.cli.main import quieten_prefect
    from stepwell.deployments.resident.ending import run_to_end
    from stepwell.deployments.resident.runner import main as resident

    quieten_prefect()
    command = resident(name, prepare)
    if command is not None:  # in a fork
        known = frozenset(sys.modules)
        command(lambda: run_to_end(_run, known))


def prepare() -> None:
    """Have what most commands import, and look up first: the kinds of compute targets, Prefect's settings, the words of the command line."""
    import importlib

    for module in _WHAT_COMMANDS_USE:
        with suppress(ImportError):  # of a library that has it no more
            importlib.import_module(module)
    from stepwell.blocks.compute.compute_target import all_kinds
    from stepwell.blocks.server.settings import read_settings
    from stepwell.blocks.system.companions import companions
    from stepwell.deployments.cli.main import command
    from stepwell.flows.runs.flow_run import leave_frozen

    leave_frozen()  # the runner's forks have it all from the runner, which freezes it
    all_kinds()
    read_settings()
    command()
    companions()
    _read_ahead()


def _read_ahead() -> None:
    """Have what pydantic makes of models and type hints when they are first used."""
    from prefect.client.schemas import actions, objects

    import stepwell
    from stepwell.blocks.arguments.checked import read_ahead

    for place, names in ((objects, _MODELS), (actions, _ACTIONS)):
        for name in names:
            with suppress(Exception):  # of a Prefect that has it no more
                getattr(place, name).model_rebuild()
    for name, functions in _CALLED.items():
        read_ahead(*(getattr(getattr(stepwell, name), function, None) for function in functions))


if __name__ == "__main__":
    if len(sys.argv) == 2 and identity.is_name(sys.argv[1]):
        _be_resident(sys.argv[1])
    else:
        main()
