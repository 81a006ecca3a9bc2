"""The table of all that a script may ask for; a new operation is one line here, and its handler."""

from __future__ import annotations

from stepwell.errors import ComputeTargetException, StepwellError, UserErrorException, WorkspaceException
from stepwell.flows.step_requests import child_requests as children
from stepwell.flows.step_requests import dataset_requests as datasets
from stepwell.flows.step_requests import datastore_requests as datastores
from stepwell.flows.step_requests import model_requests as models
from stepwell.flows.step_requests import run_requests as run
from stepwell.flows.step_requests import trial_requests as trials
from stepwell.flows.step_requests import workspace_requests as workspace
from stepwell.flows.step_requests.asking import Operation

OPERATIONS: dict[str, Operation] = {
    "workspace.details": Operation(workspace.details),
    "environment.get": Operation(workspace.environment),
    "secret.get": Operation(workspace.secret),
    "secret.list": Operation(workspace.secrets),
    "datastore.get": Operation(datastores.get),
    "datastore.list": Operation(datastores.list_all),
    "datastore.exists": Operation(datastores.exists),
    "datastore.files": Operation(datastores.files),
    "datastore.download": Operation(datastores.download, again=datastores.download_again),
    "datastore.upload": Operation(datastores.upload, look=False, sends=True),
    "dataset.get": Operation(datasets.get),
    "dataset.list": Operation(datasets.list_all),
    "dataset.look": Operation(datasets.look_at),
    "dataset.files": Operation(datasets.files, again=datasets.files_again),
    "dataset.register": Operation(datasets.register, look=False),
    "dataset.update": Operation(datasets.update, look=False),
    "input.files": Operation(datasets.of_input, look=False),
    "model.find": Operation(models.find),
    "model.files": Operation(models.files, again=models.files_again),
    "model.register": Operation(models.register, look=False, sends=True),
    "model.update": Operation(models.update, look=False),
    "model.delete": Operation(models.delete, look=False),
    "run.metrics": Operation(run.metrics),
    "run.tags": Operation(run.tags),
    "run.properties": Operation(run.properties),
    "run.children": Operation(run.children),
    "run.find_step_run": Operation(run.find_step_run),
    "run.files": Operation(run.files, again=run.files_again),
    "run.details": Operation(run.details),
    "run.status": Operation(run.status),
    "run.progress": Operation(run.progress, look=False),
    "run.cancel": Operation(run.cancel, look=False),
    "run.submit_child": Operation(children.submit, look=False, sends=True),
    "run.child": Operation(children.child, look=False),
    "trial.slots": Operation(trials.slots, look=False),
    "trial.submit": Operation(trials.submit, look=False),
    "trial.look": Operation(trials.look, look=False),
    "trial.metrics": Operation(trials.metrics, look=False),
    "trial.cancel": Operation(trials.cancel, look=False),
    "trial.files": Operation(trials.files, look=False),
    "trial.output": Operation(trials.output, look=False),
}

_REFUSED: dict[str, tuple[type[StepwellError], str, str]] = {
    "compute": (
        ComputeTargetException,
        "AuthenticationFailed: a step can't manage compute targets",
        "Manage compute targets where the pipeline is submitted.",
    ),
    "workspace": (
        WorkspaceException,
        "A step can't create, change or delete workspaces",
        "Do it where the pipeline is submitted.",
    ),
    "pipeline": (
        UserErrorException,
        "A step can't publish or submit pipelines",
        "Publish where the pipeline is submitted, or call the published pipeline's endpoint.",
    ),
    "environment": (
        UserErrorException,
        "A step can't register environments",
        "Register them where the pipeline is submitted.",
    ),
    "secret": (UserErrorException, "A step can't change secrets", "Set them where the pipeline is submitted."),
}


def operation_of(name: str) -> Operation:
    """Return the operation of that name; raise StepwellError, with what to do instead, if steps may not have it."""
    known = OPERATIONS.get(name)
    if known is not None:
        return known
    refused = _REFUSED.get(name.partition(".")[0])
    if refused:
        kind, title, hint = refused
        raise kind(title, {"asked for": name}, hint)
    raise UserErrorException(
        "The host of a run has no such operation",
        {"asked for": name[:80], "there are": ", ".join(OPERATIONS)},
        "Use one of these, or the same release of Stepwell in the step as on the host.",
    )
