"""`PipelineParameter`: a value that is chosen when a pipeline is run."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from enum import EnumMeta
from typing import Any, cast

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.kinds import Kind, kind_of
from stepwell.flows.parameters.values import Value, as_text, check, masks_short_values, parse, plain
from stepwell.model.definitions import ParameterDefinition, Scalar
from stepwell.model.redaction import SHORTEST_DECLARED, is_secret_name

__all__ = ["PipelineParameter", "Value", "as_text", "assign", "check", "merge", "parse"]


@checked
class PipelineParameter:
    """A named value that is chosen when a pipeline is run, with a default and its type.

    Types are int, float, bool, str, an enumeration, a list of these, DataPath, and a dataset. Put it among a step's
    `arguments`, in its `params`, or, with a DataPath as default, in its `inputs` as `(parameter,
    DataPathComputeBinding())`, with a dataset as `DatasetConsumptionConfig(name, parameter)`; pass values by name when
    the pipeline is run, datasets also as `<name>:<version>`. Scripts get the value as text, and as the environment variable
    `AML_PARAMETER_<name>`, as in Azure ML SDK v1. The keyword arguments are Stepwell's own.

    Args:
        name: The parameter's name, unique in its pipeline: letters, digits and underscores, the first a letter.
        default_value: The value of runs that pass none; its type is the parameter's type.
        secret: Whether values stay out of keys, logs, command lines and Prefect; scripts then get the environment
            variable only. They have four characters at least, or none. None: names that sound secret (token, password
            …) are secret.
        type: The type where the default, None or an empty list, can't tell it: `int`, `list[int]`, an Enum class.
        choices: The only values that are allowed, or the only items of a list.
        minimum: The least number that is allowed, or the least item of a list.
        maximum: The greatest number that is allowed, or the greatest item of a list.
        nullable: Whether None is allowed; None: it is if the default is None.
        description: The text that shows beside the parameter in Prefect's form and in the endpoint's documentation.

    Attributes:
        name: The parameter's name.
        default_value: The default, as it was passed.
        definition: The parameter as a plain value.

    Raises:
        UserErrorException: The name or the type can't be used, or default, choices and limits contradict each other.
    """

    _NAME = re.compile(r"[^\W\d_]\w*")

    def __init__(
        self,
        name: str,
        default_value: Any,
        *,
        secret: bool | None = None,
        type: Any = None,
        choices: Sequence[Any] | EnumMeta | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
        nullable: bool | None = None,
        description: str = "",
    ) -> None:
        if not isinstance(name, str) or not self._NAME.fullmatch(name):
            raise UserErrorException(
                f"{name!r} can't name a pipeline parameter",
                hint="Use letters, digits and underscores, the first a letter.",
            )
        if not isinstance(description, str):
            raise _invalid(name, "has a description that is no text", "Pass a text.")
        kind = kind_of(name, default_value, type)
        bare = ParameterDefinition(
            name,
            cast("Any", kind.type),
            None,
            is_secret_name(name) if secret is None else secret,
            nullable=default_value is None if nullable is None else nullable,
            item_type=kind.item_type,
            description=description,
        )
        self.name = name
        self.default_value = default_value
        bounded = replace(
            bare,
            choices=_choices(bare, kind, choices),
            minimum=_limit(bare, "minimum", minimum),
            maximum=_limit(bare, "maximum", maximum),
        )
        _check_contradictions(bounded, default_value)
        placeholder = (
            secret is None and len(str(default_value)) < SHORTEST_DECLARED
        )  # what only sounds secret may have one
        checked = replace(bounded, secret=bounded.secret and not placeholder)
        self.definition = replace(bounded, default=_checked(checked, "default", default_value))

    def __repr__(self) -> str:
        shown = "***" if self.definition.secret else repr(self.default_value)
        return f"PipelineParameter(name={self.name!r}, default_value={shown})"

    def __str__(self) -> str:
        return f"$AML_PARAMETER_{self.definition.variable}"


def _choices(definition: ParameterDefinition, kind: Kind, given: Any) -> tuple[Scalar, ...]:
    name = definition.name
    if given is None:
        return kind.choices
    if not isinstance(given, (list, tuple, EnumMeta)) or not list(given):
        raise _invalid(name, "has choices that are no list", "Pass `choices` as a list of at least one value.")
    single = _item_of(definition)
    found = tuple(cast("Scalar", _checked(single, "choice", choice)) for choice in plain(list(given)))
    if len(set(found)) < len(found):
        raise _invalid(name, "has the same choice twice", "Name each choice once.")
    return found


def _limit(definition: ParameterDefinition, what: str, limit: Any) -> Any:
    if limit is None:
        return None
    if (definition.item_type or definition.type) not in ("int", "float"):
        raise _invalid(definition.name, f"has a {what} but is no number", f"Leave `{what}` out.")
    return _checked(_item_of(definition), what, limit)


def _item_of(definition: ParameterDefinition) -> ParameterDefinition:
    """Return the definition of the parameter's choices and limits: of single values that are never None."""
    kind = cast("Any", definition.item_type or definition.type)
    return replace(definition, type=kind, item_type="", nullable=False, secret=False)


def _check_contradictions(definition: ParameterDefinition, default: Any) -> None:
    name, low, high = definition.name, definition.minimum, definition.maximum
    if low is not None and high is not None and low > high:
        raise _invalid(name, "has a minimum above its maximum", "Swap them.")
    if definition.choices and (low is not None or high is not None):
        raise _invalid(name, "has choices and limits", "Pass the ones or the others.")
    if definition.type in ("data", "dataset") and (definition.choices or definition.nullable):
        kind = "DataPath" if definition.type == "data" else "dataset"
        raise _invalid(name, f"is a {kind}, which has no choices and is never None", f"Pass the {kind} alone.")
    if definition.secret and (definition.choices or definition.type == "list"):
        raise _invalid(
            name, "is secret, and a list or one of some known choices", "Pass `secret=False` if it is no secret."
        )
    if definition.type == "bool" and masks_short_values(definition):
        raise _invalid(
            name, "is secret and a bool, which anybody guesses", "Pass `secret=False`, or the secret as text."
        )
    if definition.secret and definition.nullable and default is not None:
        raise _invalid(name, "is secret and nullable, but its default isn't None", "Pass None as its default.")


def _checked(definition: ParameterDefinition, what: str, value: Any) -> Value:
    try:
        return check(definition, value)
    except UserErrorException as error:
        title = error.title.replace("The parameter", f"The {what} of pipeline parameter", 1)
        raise UserErrorException(title, error.facts, error.hint) from None


def _invalid(name: str, what: str, hint: str) -> UserErrorException:
    return UserErrorException(f"The pipeline parameter {name!r} {what}", hint=hint)


def merge(parameters: Iterable[ParameterDefinition]) -> tuple[ParameterDefinition, ...]:
    """Return each parameter once, by name; raise UserErrorException for one name with two meanings."""
    known: dict[str, ParameterDefinition] = {}
    variables: dict[str, str] = {}
    for parameter in parameters:
        if variables.setdefault(parameter.variable, parameter.name) != parameter.name:
            raise UserErrorException(
                f"The pipeline parameters {variables[parameter.variable]!r} and {parameter.name!r} would be one variable",
                {"variable": f"AML_PARAMETER_{parameter.variable}"},
                "Rename one of them.",
            )
        if known.setdefault(parameter.name, parameter) != parameter:
            raise UserErrorException(
                f"Two pipeline parameters are called {parameter.name!r} but differ",
                hint="Use one PipelineParameter object for both steps.",
            )
    return tuple(known[name] for name in sorted(known))


def assign(definitions: Iterable[ParameterDefinition], given: Mapping[str, Any]) -> dict[str, Value]:
    """Return a value that is allowed for every parameter, by name; the default for each that is not given.

    An unknown name or a value of another type raises UserErrorException; an int is taken for a float.
    """
    by_name = {definition.name: definition for definition in definitions}
    refuse_unknown(given, by_name)
    return {name: check(by_name[name], given[name]) if name in given else by_name[name].default for name in by_name}


def refuse_unknown(given: Iterable[str], known: Collection[str]) -> None:
    """Raise UserErrorException if one of the names is none of those that a pipeline's parameters have."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        near = get_close_matches(unknown[0], known, 1)
        raise UserErrorException(
            f"The pipeline has no parameter {unknown[0]!r}",
            {"parameters": ", ".join(known) or "none"},
            f"Write `{near[0]}`." if near else "Correct the name, or add a PipelineParameter of that name to a step.",
        )
