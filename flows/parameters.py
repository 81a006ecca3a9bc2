"""`PipelineParameter`: a value that is chosen when a pipeline is run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from stepwell.blocks.references import DataPath
from stepwell.errors import UserErrorException
from stepwell.redaction import is_secret_name
from stepwell.vocabulary import DataSource, ParameterDefinition, Scalar

Value = Scalar | DataSource
_TYPES = {"int": int, "float": float, "bool": bool, "str": str}


class PipelineParameter:
    """A named value with a default, whose type (int, float, bool, str or DataPath) it keeps.

    `secret` values reach scripts as `AML_PARAMETER_<name>` and stay out of keys, logs, command lines and Prefect; names
    that sound secret (token, password …) are secret unless told otherwise.
    """

    def __init__(self, name: str, default_value: Scalar | DataPath, *, secret: bool | None = None) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[^\W\d]\w*", name) or name.startswith("_"):
            raise UserErrorException(
                f"{name!r} can't name a pipeline parameter",
                hint="Use letters, digits and underscores, the first a letter.",
            )
        self.name = name
        self.default_value = default_value
        self.definition = ParameterDefinition(
            name,
            _type_of(name, default_value),
            _plain(default_value),
            is_secret_name(name) if secret is None else secret,
        )

    def __repr__(self) -> str:
        shown = "***" if self.definition.secret else repr(self.default_value)
        return f"PipelineParameter(name={self.name!r}, default_value={shown})"

    def __str__(self) -> str:
        return f"$AML_PARAMETER_{self.name}"


def _type_of(name: str, value: Any) -> Any:
    if isinstance(value, DataPath):
        return "data"
    for kind in ("bool", "int", "float", "str"):
        if isinstance(value, _TYPES[kind]):
            return kind
    raise UserErrorException(
        f"The default of pipeline parameter {name!r} has a type that can't be passed to a script",
        {"default": repr(value), "types": "int, float, bool, str, DataPath"},
        "Give it a default of one of these types.",
    )


def _plain(value: Any) -> Value:
    return value.source if isinstance(value, DataPath) else value


def merge(parameters: Iterable[ParameterDefinition]) -> tuple[ParameterDefinition, ...]:
    """Each parameter once, by name; one name with two meanings raises UserErrorException."""
    known: dict[str, ParameterDefinition] = {}
    for parameter in parameters:
        if known.setdefault(parameter.name, parameter) != parameter:
            raise UserErrorException(
                f"Two pipeline parameters are called {parameter.name!r} but differ",
                hint="Use one PipelineParameter object for both steps.",
            )
    return tuple(known[name] for name in sorted(known))


def assign(definitions: Iterable[ParameterDefinition], given: Mapping[str, Any]) -> dict[str, Value]:
    """A value of the right type for every parameter, defaults for those not given.

    An unknown name or a value of another type raises UserErrorException; an int is taken for a float.
    """
    by_name = {definition.name: definition for definition in definitions}
    unknown = sorted(set(given) - set(by_name))
    if unknown:
        raise UserErrorException(
            f"The pipeline has no parameter {unknown[0]!r}",
            {"parameters": ", ".join(by_name) or "none"},
            "Correct the name, or add a PipelineParameter of that name to a step.",
        )
    return {name: check(by_name[name], given[name]) if name in given else by_name[name].default for name in by_name}


def check(definition: ParameterDefinition, value: Any) -> Value:
    """`value` in the parameter's type; another type raises UserErrorException."""
    if definition.type == "data":
        if isinstance(value, DataPath):
            return value.source
        if isinstance(value, DataSource):
            return value
    elif isinstance(value, bool) is (definition.type == "bool"):
        if definition.type == "float" and isinstance(value, (int, float)) and math.isfinite(value):
            return float(value)
        if definition.type != "float" and isinstance(value, _TYPES[definition.type]):
            return cast("Value", value)
    raise UserErrorException(
        f"The parameter {definition.name!r} must be of type {definition.type}",
        {"value": "***" if definition.secret else repr(value)},
        f"Pass {_EXAMPLES[definition.type]}.",
    )


_EXAMPLES = {
    "int": "a whole number",
    "float": "a finite number",
    "bool": "True or False",
    "str": "a text",
    "data": "a DataPath",
}


def parse(definition: ParameterDefinition, text: str) -> Value:
    """The value that `text` from a command line means for the parameter; nonsense raises UserErrorException."""
    try:
        if definition.type == "bool":
            return {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}[text.strip().lower()]
        if definition.type == "data":
            datastore, separator, path = text.partition("/")
            return DataSource(datastore, path) if separator else _refuse(definition, text)
        return check(definition, _TYPES[definition.type](text))
    except (ValueError, KeyError) as error:
        if isinstance(error, UserErrorException):
            raise
        return _refuse(definition, text)


def _refuse(definition: ParameterDefinition, text: str) -> Value:
    example = "<datastore>/<path>" if definition.type == "data" else _EXAMPLES[definition.type]
    raise UserErrorException(
        f"The parameter {definition.name!r} must be of type {definition.type}",
        {"value": "***" if definition.secret else repr(text)},
        f"Pass {example}.",
    )


def as_text(value: Value) -> str:
    """What a script is given for a value: v1's text forms (`True`, `0.25`)."""
    return f"{value.datastore}/{value.path}" if isinstance(value, DataSource) else str(value)
