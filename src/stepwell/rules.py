"""The rules that a pipeline runs under: Stepwell's own, or those that code of the Azure ML SDK v1 relies on.

They travel with a pipeline's definition, by name. What they switch is one line each in `Switches`, and nowhere else: whoever
acts on one asks `definition.switches`. A switch that changes a step's result makes a row of its key, for the steps that it
concerns; no other one does, so that results are shared between both rules where they are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from stepwell.errors import UserErrorException

Rules = Literal["stepwell", "v1"]

STEPWELL: Rules = "stepwell"
V1: Rules = "v1"


@dataclass(frozen=True, slots=True)
class Switches:
    """What v1's rules switch on; under Stepwell's own all is off."""

    unwritten_outputs_are_empty: bool = False
    """PipelineData that a script never writes are empty, with a warning; else the step fails."""

    files_beside_outputs_are_kept: bool = False
    """What a script writes beside the path of its PipelineData is found beside it by the steps that read these."""

    data_may_come_later: bool = False
    """Data need to be there when the step that reads them starts; else when the run does."""

    circles_are_listed: bool = False
    """Steps that wait for one another are listed by `validate`; else such a pipeline can't be made."""

    outputs_have_usual_destination: bool = False
    """An OutputFileDatasetConfig without destination is found at `dataset/{run-id}/{output-name}`."""

    unknown_parameters_are_passed_over: bool = False
    """Calls of what is published may assign parameters that it does not have; else they are refused."""


_BY_NAME = {
    STEPWELL: Switches(),
    V1: Switches(**{switch.name: True for switch in fields(Switches)}),
}


def switches_of(rules: str) -> Switches:
    """Return what the rules of that name switch; raise UserErrorException for a name that no rules have."""
    if rules not in _BY_NAME:
        raise UserErrorException(
            f"There are no rules {rules!r} of pipelines", {"rules": ", ".join(_BY_NAME)}, "Name one of these."
        )
    return _BY_NAME[rules]  # type: ignore[index]
