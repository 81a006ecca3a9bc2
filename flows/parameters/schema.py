"""Pipeline parameters as Prefect knows them: in a flow's signature, a deployment's schema, and a run's values."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr

from stepwell.flows.parameters.values import SCALARS, Value, allowed, as_text, check, parse, plain, type_name
from stepwell.model.definitions import DatasetSource, DataSource, ParameterDefinition, Scalar

_JSON_TYPES = {"int": "integer", "float": "number", "bool": "boolean", "str": "string"}
_LONGEST_TEXT, _MOST_ITEMS = 32_000, 1_000  # scripts are given both as one argument, which Linux limits
_TEXT = r"^[^\u0000\ud800-\udfff]*$"
_SEGMENT = r"(?!\.{1,2}(?:/|$))[^/\\\u0000-\u001f\u007f-\u009f\ud800-\udfff]+"
_PATH = rf"(?!\.stepwell(?:/|$)){_SEGMENT}(?:/{_SEGMENT})*"
_DATASET = r"[^{\u0000-\u001f\u007f-\u009f\ud800-\udfff][^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{0,299}"
"""What names a registered dataset; one that isn't registered is JSON, which begins with a brace."""

_NOT_FINITE = {"anyOf": [{"exclusiveMinimum": sys.float_info.max}, {"exclusiveMaximum": -sys.float_info.max}]}
"""A schema that no finite number matches; NaN matches it, since no comparison with NaN fails."""


# The signature of a flow --------------------------------------------------------------------------------------------


def flow_parameter(definition: ParameterDefinition) -> inspect.Parameter:
    """Return the parameter of a flow's signature; a secret one has no default there."""
    default = None if definition.secret else for_prefect(definition, definition.default)
    return inspect.Parameter(
        definition.variable, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation(definition)
    )


def annotation(definition: ParameterDefinition) -> Any:
    """Return the Python type, annotated for pydantic, of the parameter in a flow's signature."""
    kind: Any = SecretStr if definition.secret else _item_annotation(definition)
    if definition.type == "list":
        kind = list[kind]
    if definition.nullable or definition.secret:
        kind = kind | None
    return Annotated[kind, Field(description=describe(definition))]


def _item_annotation(definition: ParameterDefinition) -> Any:
    name, choices = definition.item_type or definition.type, definition.choices
    kind: Any = SCALARS.get(name, str)
    if name not in ("int", "float"):
        return Literal[choices] if choices else kind
    if choices:  # no Literal: pydantic knows none of floats, nor of integers beyond 64 bits
        shown: Any = {"enum": list(choices)}
        return Annotated[kind, AfterValidator(partial(_chosen, choices)), Field(json_schema_extra=shown)]
    finite = False if name == "float" else None
    return Annotated[kind, Field(ge=definition.minimum, le=definition.maximum, allow_inf_nan=finite)]


def _chosen(choices: tuple[Scalar, ...], value: Scalar) -> Scalar:
    if value not in choices:
        raise ValueError(f"Input should be {', '.join(map(repr, choices))}")
    return value


def describe(definition: ParameterDefinition) -> str:
    """Return the author's description, or one made from the type and its limits."""
    if definition.description:
        return definition.description
    if definition.secret:
        return "Secret; the pipeline's own value if left empty."
    told = {"data": "Data: <datastore>/<path>.", "dataset": "A dataset: <name>, <name>:<version>, or an id."}
    return told.get(definition.type) or f"Type {type_name(definition)}: {allowed(definition)}."


def docstring(summary: str, signature: inspect.Signature) -> str:
    """Return the summary with a section on the parameters: the only place where Prefect looks for descriptions."""
    words = {
        name: parameter.annotation.__metadata__[-1].description for name, parameter in signature.parameters.items()
    }
    return "\n".join([summary, "", "Args:", *(f"    {name}: {' '.join(text.split())}" for name, text in words.items())])


# Values -------------------------------------------------------------------------------------------------------------


def for_prefect(definition: ParameterDefinition, value: Any) -> Any:
    """Return a value as a flow takes it: data by name, a list as a list, secrets so that Prefect can't store them."""
    found = plain(value)
    if isinstance(found, (DataSource, DatasetSource)):
        return as_text(found)
    if definition.secret and isinstance(found, (str, int, float)):
        return SecretStr(as_text(found))
    return list(found) if isinstance(found, tuple) else found


def from_prefect(definition: ParameterDefinition, value: Any) -> Value:
    """Return the parameter's value of what a flow was given; raise UserErrorException if it doesn't allow that."""
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return check(definition, text) if definition.type == "str" else parse(definition, text)
    if definition.secret and value is None:
        return definition.default
    if definition.type == "dataset" and value == as_text(definition.default):
        return definition.default  # of one that is registered the text is its name and version alone
    return (
        parse(definition, value) if definition.type == "data" and isinstance(value, str) else check(definition, value)
    )


def flow_values(
    definitions: Iterable[ParameterDefinition], values: Mapping[str, Any], *, secrets: bool = False
) -> dict[str, Any]:
    """Return the values as a flow is given them, by the names that they have there; `secrets`: secret ones, too."""
    shown = (one for one in definitions if secrets or not one.secret)
    return {one.variable: for_prefect(one, values[one.name]) for one in shown if one.name in values}


# The schema of a deployment -----------------------------------------------------------------------------------------


def schema(definitions: Iterable[ParameterDefinition], datastores: Iterable[str]) -> dict[str, Any]:
    """Return the JSON schema of what a run may be given, in the shape that Prefect's form is built from.

    It is strict: no other names, no other types, data on these datastores only. Secret parameters are not part of it.
    """
    names, shown = sorted(datastores), [definition for definition in definitions if not definition.secret]
    return {
        "title": "Parameters",
        "type": "object",
        "properties": {
            definition.variable: {
                **_value_schema(definition, names),
                "title": definition.name,
                "description": describe(definition),
                "default": _default(definition),
                "position": position,
            }
            for position, definition in enumerate(shown)
        },
        "required": [],
        "definitions": {},
        "additionalProperties": False,
    }


def _value_schema(definition: ParameterDefinition, datastores: list[str]) -> dict[str, Any]:
    if definition.type == "data":
        return {"type": "string", "pattern": data_pattern(datastores, root=_default(definition).endswith("/"))}
    if definition.type == "dataset":
        return {"type": "string", "pattern": rf"^(?:{_DATASET}|{re.escape(_default(definition))})$(?!\n)"}
    found = _item_schema(definition)
    if definition.type == "list":
        found = {"type": "array", "items": found, "maxItems": _MOST_ITEMS}
    return {"anyOf": [found, {"type": "null"}]} if definition.nullable else found


def _item_schema(definition: ParameterDefinition) -> dict[str, Any]:
    name = definition.item_type or definition.type
    found: dict[str, Any] = {"type": _JSON_TYPES[name]}
    if definition.choices:
        return {**found, "enum": list(definition.choices)}
    limits = {"minimum": definition.minimum, "maximum": definition.maximum}
    found |= {word: limit for word, limit in limits.items() if limit is not None}
    if name == "float":
        found["not"] = _NOT_FINITE
    return {**found, "pattern": _TEXT, "maxLength": _LONGEST_TEXT} if name == "str" else found


def data_pattern(datastores: Iterable[str], *, root: bool = False) -> str:
    """Return the pattern of `<datastore>/<path>`, one of these datastores and a path inside it; `root`: or no path."""
    names = "|".join(re.escape(name) for name in datastores) or r"(?!)"
    return rf"^(?:{names})/(?:{_PATH}){'?' if root else ''}$(?!\n)"


def _default(definition: ParameterDefinition) -> Any:
    found = definition.default
    if isinstance(found, DataSource):
        parts = [part for part in re.split(r"[/\\]", found.path) if part not in ("", ".")]
        return f"{found.datastore}/{'/'.join(parts)}"
    return for_prefect(definition, found)
