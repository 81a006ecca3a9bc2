"""The secret values of a pipeline, and their redaction from data and fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from stepwell.blocks.environments.package_index import secrets_in
from stepwell.flows.parameters.pipeline_parameter import Value, as_text
from stepwell.flows.parameters.values import masks_short_values
from stepwell.model.definitions import StepDefinition
from stepwell.model.digests import digest
from stepwell.model.fingerprint import CONTENT, Fingerprint, Row
from stepwell.model.redaction import Redactor, is_secret_name


def secrets_of(steps: Iterable[StepDefinition], values: Mapping[str, Value]) -> Iterator[str]:
    """Yield the values of secret parameters, of variables with names that sound secret, and of indexes' passwords."""
    for step in steps:
        yield from (as_text(values[p.name]) for p in step.parameters if p.secret and p.name in values)
        yield from (as_text(p.default) for p in step.parameters if p.secret)
        for name, argument in step.params.items():
            yield from (piece.value for piece in argument if piece.kind == "text" and is_secret_name(name))
        yield from (text for name, text in step.environment.variables.items() if is_secret_name(name))
        yield from secrets_in((step.environment.index_url, *step.environment.requirements))


def declared_secrets(steps: Iterable[StepDefinition], values: Mapping[str, Value]) -> Iterator[str]:
    """Yield the values of parameters that somebody called secret, which are masked though they are short."""
    for parameter in (p for step in steps for p in step.parameters if masks_short_values(p)):
        yield as_text(parameter.default)
        if parameter.name in values:
            yield as_text(values[parameter.name])


class HasRedactor(Protocol):
    """Whoever knows the secrets at hand."""

    @property
    def redactor(self) -> Redactor:
        """What takes them out of texts."""
        ...


class LateRedaction:
    """The redaction of texts by whoever knows the secrets now; another process gets those that are known when it is sent."""

    def __init__(self, owner: HasRedactor) -> None:
        self._owner = owner

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        return self._owner.redactor.redact(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._owner.redactor, "redact")


def redacted(data: Any, redactor: Redactor) -> Any:
    """Return the same plain data with `***` for every secret in its texts."""
    if isinstance(data, str):
        return redactor.redact(data)
    if isinstance(data, list):
        return [redacted(item, redactor) for item in data]
    if isinstance(data, dict):
        return {
            name: redacted(item, redactor) if isinstance(item, (str, list, dict)) else item
            for name, item in data.items()
        }
    return data


def redacted_rows(fingerprint: Fingerprint, redactor: Redactor) -> Fingerprint:
    """Return the fingerprint with a digest for every value that holds a secret."""
    return Fingerprint(tuple(_redacted_row(row, redactor) for row in fingerprint.rows))


def _redacted_row(row: Row, redactor: Redactor) -> Row:
    if row.value.startswith(CONTENT) or redactor.redact(row.value) == row.value:
        return row
    return row._replace(value=CONTENT + digest("secret", list(row)))
