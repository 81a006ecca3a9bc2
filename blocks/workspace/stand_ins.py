"""What stands in for things that old code asks for and this machine lacks: packages as they are installed, processors for GPUs.

It is chosen outside of the code: by variables of the environment, or else by the workspace.
"""

from __future__ import annotations

import os
from typing import Literal, get_args

from stepwell.errors import UserErrorException

Environments = Literal["as-asked", "as-installed"]
"""`as-installed`: a step with packages of its own runs with those in use here, whatever versions it asks for."""

Gpus = Literal["gpu", "cpu"]
"""`cpu`: where a target lacks its GPUs, steps run on processors."""

VARIABLES = {"environment": "STEPWELL_V1_ENVIRONMENT", "gpu": "STEPWELL_V1_GPU"}
CHOICES: dict[str, tuple[str, ...]] = {"environment": get_args(Environments), "gpu": get_args(Gpus)}
"""What may be chosen, the usual one first."""


def chosen_outside(what: str) -> str:
    """Return what the variable of the environment chooses, '' if it is not set; raise UserErrorException for another word."""
    word = os.environ.get(VARIABLES[what], "").strip().lower()
    if word and word not in CHOICES[what]:
        raise UserErrorException(
            f"{VARIABLES[what]} can't be {word!r}", {"choices": ", ".join(CHOICES[what])}, "Choose one, or unset it."
        )
    return word
