"""Looks: what scripts asked the host and got to know, as rows of their fingerprints, and asked again to decide on a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stepwell.errors import ServerException, StepwellError
from stepwell.flows.step_requests.asking import Answer, Asker
from stepwell.flows.step_requests.operations import OPERATIONS
from stepwell.flows.step_requests.run_requests import UnknownYet
from stepwell.model.fingerprint import UNKNOWN, Fingerprint, Row, look_value, parse_look
from stepwell.model.records import StepCall

_REMEMBERED = "\0look "
"""No path of a file begins so."""


def remembered(look: str) -> str:
    """Return the name under which the store remembers that steps looked: that of no file."""
    return _REMEMBERED + look


def is_look(name: str) -> bool:
    """Return whether what the store remembers is a look."""
    return name.startswith(_REMEMBERED)


def asked_again(asker: Asker, name: str) -> str:
    """Return the value that the row of a remembered look has now."""
    operation, arguments = parse_look(name)
    known = OPERATIONS.get(operation)
    if known is None or not known.look:
        return "not known to this release"
    try:
        return value_of(known.identified(asker, arguments))
    except UnknownYet:
        return UNKNOWN
    except ServerException:
        raise
    except StepwellError as error:
        return value_of_error(error)
    except OSError as error:
        return look_value([type(error).__name__, name], "out of reach")
    except TypeError:  # of another release, with other arguments
        return "not known to this release"


def value_of(answer: Answer) -> str:
    """Return the value of the row for an answer."""
    return look_value(answer.identified_by, answer.words)


def value_of_error(error: StepwellError) -> str:
    """Return the value of the row for a request that ended in an error."""
    return look_value([type(error).__name__, error.title], "not there")


def with_looks(call: StepCall, values: Mapping[str, str]) -> StepCall:
    """Return the call, its fingerprint with these looks, by the names of their rows, in place of those that it had."""
    before = {row.name: row for row in call.fingerprint.rows if row.kind == "look"}
    before |= {name: Row("look", name, value) for name, value in values.items()}
    others = call.fingerprint.without("look", "read").rows
    reads = (row for row in call.fingerprint.rows if row.kind == "read")
    rows = (*others, *(before[name] for name in sorted(before)), *reads)
    return replace(call, fingerprint=Fingerprint(rows))


def remembered_looks(names: set[str]) -> set[str]:
    """Return the names of rows among the names that the store remembers."""
    return {name.removeprefix(_REMEMBERED) for name in names if is_look(name)}
