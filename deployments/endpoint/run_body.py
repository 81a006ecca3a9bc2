"""The body of a call, in v1's words and in ours, as a run request; whatever is not exactly right is rejected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stepwell.deployments.access.http_errors import BadRequest
from stepwell.deployments.endpoint.response_bodies import default_of
from stepwell.errors import StepwellError, UserErrorException, printable
from stepwell.flows.parameters.pipeline_parameter import check, parse
from stepwell.flows.publishing.submission import RunRequest
from stepwell.flows.runs.names import check_experiment
from stepwell.model.definitions import DataSource, ParameterDefinition

_NUMBERS = {
    "int": re.compile(r"[+-]?\d{1,300}", re.ASCII),
    "float": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII),
}
_BOOLS = {"true": True, "false": False}
_MOST_SHOWN, _LONGEST_SHOWN = 50, 100
_MOST_TAGS, _LONGEST_NAME, _LONGEST_TEXT = 50, 256, 5_000

_ASSIGNMENTS = ("ParameterAssignments", "DataPathAssignments", "DataSetDefinitionValueAssignments")
FLAGS = ("ContinueRunOnStepFailure", "RegenerateOutputs", "EnableNotification")
TEXTS = ("Description", "RunSource", "RunType", "ScheduleId", "ParentRunId")
MAPS = ("Tags", "tags", "StepTags", "Properties")
FIELDS = (
    "ExperimentName",
    *_ASSIGNMENTS,
    *FLAGS,
    *TEXTS,
    *MAPS,
)


def parse_run_request(
    body: Mapping[str, Any],
    parameters: tuple[ParameterDefinition, ...],
    continue_on_failure: bool,
    *,
    lenient: bool = False,
) -> RunRequest:
    """Return the run request of the body; raise BadRequest for the first wrong field.

    `continue_on_failure` holds unless the body says otherwise. `lenient`: parameters and fields that there are not are passed
    over, and named in the request's `ignored`; a field that is only spelt otherwise is wrong all the same.
    """
    known_parameters = {definition.name: definition for definition in parameters}
    ignored: list[str] = []
    for name in body:
        if name not in FIELDS:
            known = next((field for field in FIELDS if field.lower() == name.lower()), "")
            hint = f"Write it as {known}." if known else f"Leave it out. There are {', '.join(FIELDS)}."
            if known or not lenient:
                raise BadRequest(400, name[:80], "The body has an unknown field", hint)
            ignored.append(_shown(name))
    if lenient:
        body = dict(body)
        for field in _ASSIGNMENTS:
            assigned = _object(body, field)
            ignored += [_shown(f"{field}.{name}") for name in assigned if name not in known_parameters]
            body[field] = {name: value for name, value in assigned.items() if name in known_parameters}
    flags = {name: _flag(body, name) for name in FLAGS}
    if body.get("Tags") is not None and body.get("tags") is not None:
        raise BadRequest(400, "tags", "Tags are given twice, as Tags and as tags", "Leave one of them out.")
    given = flags["ContinueRunOnStepFailure"]
    return RunRequest(
        experiment=_experiment(body),
        parameters=_values(body, known_parameters),
        tags={**_texts(body, "Tags"), **_texts(body, "tags")},
        regenerate=bool(flags["RegenerateOutputs"]),
        continue_on_failure=continue_on_failure if given is None else given,
        notes=_notes(body),
        confined=True,
        ignored=_first(ignored),
    )


def _shown(name: str) -> str:
    """Return the path of a field that is passed over: printable and of bounded length, since the response repeats it."""
    return printable(name[:_LONGEST_SHOWN] + "…" * (len(name) > _LONGEST_SHOWN))


def _first(names: list[str]) -> tuple[str, ...]:
    more = len(names) - _MOST_SHOWN
    return (*names[:_MOST_SHOWN], f"and {more} more") if more > 0 else tuple(names)


def _experiment(body: Mapping[str, Any]) -> str:
    name = body.get("ExperimentName")
    if name is None:
        raise BadRequest(400, "ExperimentName", "The field is missing", "Name the experiment that the run belongs to.")
    try:
        return check_experiment(name)
    except UserErrorException as error:
        raise BadRequest(400, "ExperimentName", error.title, error.hint) from None


def _notes(body: Mapping[str, Any]) -> dict[str, str]:
    found = {name: _text(name, body[name]) for name in TEXTS if body.get(name) is not None}
    for field in ("Properties", "StepTags"):
        found |= {f"{field}.{name}": text for name, text in _texts(body, field).items()}
    return found


# Values ---------------------------------------------------------------------------------------------------------------


def _values(body: Mapping[str, Any], known: Mapping[str, ParameterDefinition]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in _object(body, "ParameterAssignments").items():
        field = f"ParameterAssignments.{name:.80}"
        found[name] = _value(field, _definition(field, name, known), value)
    for name, value in _object(body, "DataPathAssignments").items():
        field = f"DataPathAssignments.{name:.80}"
        definition = _definition(field, name, known)
        if definition.type != "data":
            raise BadRequest(400, field, "The parameter is no data path", "Assign it in ParameterAssignments.")
        if name in found:
            raise BadRequest(400, field, "The parameter is assigned twice", "Leave one of the two out.")
        found[name] = _data_source(field, value)
    for name, value in _object(body, "DataSetDefinitionValueAssignments").items():
        field = f"DataSetDefinitionValueAssignments.{name:.80}"
        definition = _definition(field, name, known)
        if definition.type != "dataset":
            raise BadRequest(400, field, "The parameter is no dataset", "Assign it in ParameterAssignments.")
        if name in found:
            raise BadRequest(400, field, "The parameter is assigned twice", "Leave one of the two out.")
        found[name] = _dataset(field, definition, _dataset_id(field, value))
    return found


def _definition(field: str, name: str, known: Mapping[str, ParameterDefinition]) -> ParameterDefinition:
    if name not in known:
        names = ", ".join(known) or "none"
        raise BadRequest(400, field, "The pipeline has no such parameter", f"Correct the name. There are: {names}.")
    return known[name]


def _value(field: str, definition: ParameterDefinition, value: Any) -> Any:
    if definition.type == "data" and not isinstance(value, str):
        raise BadRequest(400, field, "A data path is a text <datastore>/<path>", "Assign it so.")
    if definition.type == "dataset":
        return _dataset(field, definition, value)
    try:
        if definition.type == "data":
            return parse(definition, value)
        return check(definition, _coerce(definition.type, value))
    except StepwellError as error:
        raise BadRequest(
            400, field, error.title if not definition.secret else "The value is unfit", error.hint
        ) from None


def _coerce(kind: str, value: Any) -> Any:
    """Return the number or truth value that a text spells exactly, as v1's client sends them, else the value itself."""
    if not isinstance(value, str):
        return value
    if kind == "bool":
        return _BOOLS.get(value.lower(), value)
    if kind in _NUMBERS and _NUMBERS[kind].fullmatch(value):
        return int(value) if kind == "int" else float(value)
    return value


def _data_source(field: str, value: Any) -> DataSource:
    if not isinstance(value, dict):
        raise BadRequest(400, field, "The value is no object", 'Write {"DataStoreName": …, "RelativePath": …}.')
    for name in ("DataStoreName", "RelativePath"):
        if not isinstance(value.get(name), str):
            raise BadRequest(
                400, f"{field}.{name}", "A text is missing here", "Name the datastore, and the path on it."
            )
    for name in value:
        if name not in ("DataStoreName", "RelativePath"):
            raise BadRequest(400, f"{field}.{name:.80}", "A data path has no such field", "Leave it out.")
    return DataSource(value["DataStoreName"], value["RelativePath"])


def _dataset(field: str, definition: ParameterDefinition, text: Any) -> Any:
    """Return the registered dataset that a text names, or the pipeline's own if it is named as the document has it."""
    if text == default_of(definition):
        return definition.default
    if not isinstance(text, str) or text.lstrip().startswith("{"):  # who calls may read registered datasets only
        raise BadRequest(400, field, "A dataset is a text <name>, <name>:<version> or an id", "Name a registered one.")
    try:
        return check(definition, text)
    except StepwellError as error:
        raise BadRequest(400, field, error.title, error.hint) from None


def _dataset_id(field: str, value: Any) -> str:
    """Return the text that names a dataset in v1's words, {"SavedDataSetReference": {"Id": …}}, or in ours: a text."""
    if isinstance(value, str):
        return value
    reference = value.get("SavedDataSetReference") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(reference, dict) or set(reference) != {"Id"} or not isinstance(reference["Id"], str):
        hint = 'Write {"SavedDataSetReference": {"Id": …}}, or a text <name>:<version>.'
        raise BadRequest(400, field, "The value names no registered dataset", hint)
    return reference["Id"]


# Plain fields ---------------------------------------------------------------------------------------------------------


def _flag(body: Mapping[str, Any], name: str) -> bool | None:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(400, name, "The value is no truth value", "Write true or false.")
    return value


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(400, name, "The value is no object", "Write {…}.")
    return value or {}


def _texts(body: Mapping[str, Any], name: str) -> dict[str, str]:
    found = _object(body, name)
    if len(found) > _MOST_TAGS:
        raise BadRequest(400, name, f"There are more than {_MOST_TAGS} of them", "Send fewer.")
    for key, text in found.items():
        if not key.strip() or len(key) > _LONGEST_NAME or not key.isprintable():
            raise BadRequest(
                400, f"{name}.{key[:80]!a}", "This can't be a name", "Use 1 to 256 printable characters, not all blank."
            )
        _text(f"{name}.{key:.80}", text)
    return dict(found)


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadRequest(400, field, "The value is no text", 'Write "…".')
    if len(value) > _LONGEST_TEXT:
        raise BadRequest(400, field, f"The text is longer than {_LONGEST_TEXT} characters", "Shorten it.")
    return value
