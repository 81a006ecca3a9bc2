"""`NotebookRunConfig`: a notebook with its parameters, for a NotebookRunnerStep or `Experiment.submit`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from keyword import iskeyword
from pathlib import PurePath
from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.run_configuration import RunConfiguration
from stepwell.flows.configurations.script_run_config import ScriptRunConfig


@checked
class NotebookRunConfig(ScriptRunConfig):
    """A notebook with its source, its parameters and its run configuration, as in Azure ML SDK v1.

    Args:
        source_directory: The folder whose snapshot is the working directory; None: the current directory.
        notebook: The notebook's path in that folder.
        output_notebook: The name of the executed notebook in the run's `outputs/`; None: that of the notebook.
        parameters: Values by name, which a cell of the notebook assigns.
        handler: Accepted for v1's sake; not used.
        run_config: The configuration to start from; None: `RunConfiguration()`.

    Attributes:
        notebook: As the argument.
        output_notebook: As the argument.
        parameters: As the argument.

    Raises:
        UserErrorException: `notebook` names no notebook, or a cell can't assign a parameter of such a name.
    """

    def __init__(
        self,
        source_directory: str | PurePath | None = None,
        notebook: str | None = None,
        output_notebook: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        handler: Any = None,
        run_config: RunConfiguration | None = None,
        _telemetry_values: Any = None,
    ) -> None:
        super().__init__(source_directory, run_config=run_config, max_run_duration_seconds=None)
        self.notebook = self.script = check_notebook(notebook)
        self.output_notebook = output_notebook
        self.parameters = dict(parameters or {})
        check_parameters(self.parameters)
        self.handler = handler


class AzureMLNotebookHandler:
    """v1's settings of how a notebook is run; any are accepted, and not used.

    Args:
        **options: v1's arguments; not used.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options


def check_notebook(notebook: str | None) -> str:
    """Return the path of a notebook; raise UserErrorException if it names none."""
    if not notebook or not notebook.lower().endswith(".ipynb"):
        raise UserErrorException(
            "`notebook` must name a notebook", {"value": repr(notebook)}, "Pass the path of a file that ends in .ipynb."
        )
    return notebook


def check_parameters(names: Iterable[str]) -> None:
    """Raise UserErrorException if a name is none that a cell of a notebook can assign."""
    for name in names:
        if not is_variable(name):
            raise UserErrorException(
                f"A notebook can't have a parameter called {name!r}: a cell assigns it as a variable of Python",
                hint="Use letters, digits and underscores, and no word of Python's own.",
            )


def is_variable(name: str) -> bool:
    """Return whether a variable of Python can have the name."""
    return name.isidentifier() and not iskeyword(name)
