"""The errors a user can meet, each one sentence, the facts that caused it, and a hint.

StepwellError
 ├─ UserErrorException            a definition or an argument is wrong (also a ValueError)
 ├─ WorkspaceException            a workspace is missing, exists already, or can't be read
 ├─ DatastoreException            a datastore or a path on it can't be used
 ├─ ComputeTargetException        a compute target is missing or can't be used
 ├─ EnvironmentException          the environment of a step can't be built
 ├─ SnapshotException             a source directory can't be snapshotted
 ├─ StoreException                the store of results can't be written
 ├─ ServerException               Prefect's server can't be reached or started
 ├─ RunEnvironmentException       `Run.get_context(allow_offline=False)` outside a run
 ├─ ExperimentExecutionException  a run could not be started, found or followed
 ├─ DatasetException              a dataset can't be used
 │   ├─ DatasetValidationError    a definition of a dataset is wrong, or stands for no data (also a UserErrorException)
 │   └─ DatasetExecutionError     the data of a dataset can't be read
 ├─ WebserviceException           a model is not as it was asked for
 │   ├─ ModelNotFoundException    there is no such model
 │   └─ ModelPathNotFoundException  a model's files are not where they should be
 └─ ActivityFailedException       a run ended in failure
     └─ StepFailedException       a step ended in failure
         └─ StepCancelledException  a step was ended because its run was stopped
"""

from __future__ import annotations

TYPE_CHECKING = False  # what type checkers take for true: steps wait for what is imported here
if TYPE_CHECKING:
    from collections.abc import Mapping


class StepwellError(Exception):
    """A sentence for the user, the facts behind it (aligned when printed) and a hint that begins with a verb.

    Attributes:
        title: One sentence that tells what is wrong.
        facts: Names of what caused it, such as `file`, and their values as text.
        hint: What to do about it; '' if there is nothing to advise.
    """

    def __init__(self, title: str, facts: Mapping[str, object] | None = None, hint: str = "") -> None:
        self.title = title
        self.facts = {name: str(value) for name, value in (facts or {}).items()}
        self.hint = hint
        super().__init__(title, self.facts, hint)

    @property
    def message(self) -> str:
        """The title, one line per fact, and the hint."""
        width = max(map(len, self.facts), default=0)
        lines = [self.title]
        lines += [f"  {name:<{width}}  {_indented(value, width + 4)}" for name, value in self.facts.items()]
        if self.hint:
            lines.append(f"Hint: {self.hint}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title!r})"


def printable(text: str) -> str:
    """Return the text on one line: what would end the line or move a terminal's cursor stands there escaped."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)


def _indented(value: str, columns: int) -> str:
    return value.replace("\n", "\n" + " " * columns)


class UserErrorException(StepwellError, ValueError):
    """A definition or an argument is wrong; nothing was started."""


class WorkspaceException(StepwellError):
    """A workspace is missing, exists already, or can't be read."""


class DatastoreException(StepwellError):
    """A datastore, or a path on it, can't be used."""


class ComputeTargetException(StepwellError):
    """A compute target is missing or can't be used."""


class EnvironmentException(StepwellError):
    """The environment of a step can't be built."""


class SnapshotException(StepwellError):
    """A source directory can't be snapshotted."""


class StoreException(StepwellError):
    """The store of results can't be written."""


class ServerException(StepwellError):
    """Prefect's server can't be reached or started."""


class RunEnvironmentException(StepwellError):
    """`Run.get_context(allow_offline=False)` was called outside a run."""


class ExperimentExecutionException(StepwellError):
    """A run could not be started, found or followed."""


class DatasetException(StepwellError):
    """A dataset can't be used."""


class DatasetValidationError(DatasetException, UserErrorException):
    """A definition of a dataset is wrong, or stands for no data."""


class DatasetExecutionError(DatasetException):
    """The data of a dataset can't be read."""


class WebserviceException(StepwellError):
    """A model is not as it was asked for; v1 calls it so."""


class ModelNotFoundException(WebserviceException):
    """There is no such model."""


class ModelPathNotFoundException(WebserviceException):
    """A model's files are not where they should be."""


class ActivityFailedException(StepwellError):
    """A run ended in failure."""


class StepFailedException(ActivityFailedException):
    """A step ended in failure; its facts hold the step, the exit and the log's place."""


class StepCancelledException(StepFailedException):
    """A step was ended, or not begun, because its run was stopped."""
