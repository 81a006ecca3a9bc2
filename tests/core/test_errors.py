"""Errors: one sentence, aligned facts, a hint; and they survive the way between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from stepwell import errors
from stepwell.errors import StepFailedException, StepwellError, UserErrorException


def every_error() -> list[type[StepwellError]]:
    return [thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, StepwellError)]


def test_an_error_prints_its_title_its_aligned_facts_and_its_hint() -> None:
    error = StepwellError("The step failed", {"log": "/a/b", "last lines": "one\ntwo"}, "Read the log.")
    assert str(error) == (
        "The step failed\n"
        "  log         /a/b\n"
        "  last lines  one\n"
        "              two\n"
        "Hint: Read the log."
    )  # fmt: skip


def test_an_error_without_facts_and_hint_is_its_title() -> None:
    assert str(StepwellError("It failed")) == "It failed"


def test_facts_of_any_type_are_kept_as_text() -> None:
    assert StepwellError("It failed", {"count": 3, "reason": OSError(28, "No space")}).facts == {
        "count": "3",
        "reason": "[Errno 28] No space",
    }


@pytest.mark.parametrize("kind", every_error())
def test_every_error_survives_pickling_and_copying(kind: type[StepwellError]) -> None:
    error = kind("It failed", {"count": 3}, "Try again.")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is kind
        assert (other.title, other.facts, other.hint, str(other)) == (error.title, error.facts, error.hint, str(error))


@pytest.mark.parametrize("kind", every_error())
def test_every_error_is_in_the_overview(kind: type[StepwellError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "").split()


def test_a_wrong_definition_is_also_a_value_error() -> None:
    with pytest.raises(ValueError, match="It is wrong"):
        raise UserErrorException("It is wrong")


def test_a_failed_step_is_a_failed_activity() -> None:
    assert issubclass(StepFailedException, errors.ActivityFailedException)
