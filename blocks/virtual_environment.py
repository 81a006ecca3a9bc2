"""Virtual environments of steps: made once for what they hold, and found again."""

from __future__ import annotations

from pathlib import Path

from stepwell.blocks.job import Say
from stepwell.vocabulary import EnvironmentDefinition


def interpreter_of(environment: EnvironmentDefinition, _cache: Path, _say: Say) -> str:
    """The interpreter that the environment means, '' for the one in use."""
    return environment.interpreter
