"""What stands in for what old code asks for and is not there: packages as installed, processors for GPUs, Spark for Databricks.

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

Databricks = Literal["workspace", "local"]
"""`local`: what a Databricks workspace would run, Spark runs on this machine."""

VARIABLES = {name: f"STEPWELL_V1_{name.upper()}" for name in ("environment", "gpu", "databricks")}
CHOICES: dict[str, tuple[str, ...]] = {
    "environment": get_args(Environments),
    "gpu": get_args(Gpus),
    "databricks": get_args(Databricks),
}
"""What may be chosen, the usual one first."""


def chosen_outside(what: str) -> str:
    """Return what the variable of the environment chooses, '' if it is not set; raise UserErrorException for another word."""
    word = os.environ.get(VARIABLES[what], "").strip().lower()
    if word and word not in CHOICES[what]:
        raise UserErrorException(
            f"{VARIABLES[what]} can't be {word!r}", {"choices": ", ".join(CHOICES[what])}, "Choose one, or unset it."
        )
    return word
