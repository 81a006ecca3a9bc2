"""What steps on Spark have in common: settings as Spark takes them, and an environment that has Spark itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.model.definitions import EnvironmentDefinition

EXTRA = "spark"
"""The extra of Stepwell that brings the engine."""

SCRIPT_MODULES = ("pyspark",)
NOTEBOOK_MODULES = ("pyspark", "nbclient", "ipykernel")


def check_memory(name: str, size: str | None) -> None:
    """Raise UserErrorException if a size of memory is none of Spark's."""
    if size is not None and not re.fullmatch(r"\s*[1-9]\d*\s*[kmgtp]?b?\s*", size, re.IGNORECASE):
        raise UserErrorException(
            f"`{name}` must be a size of memory", {"value": repr(size)}, "Write it such as '7g' or '512m'."
        )


def texts(values: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return values as Spark takes them, None for none; raise UserErrorException if a name is none of a setting."""
    for name in values or ():
        if not name or "=" in name or any(map(str.isspace, name)):
            raise UserErrorException(f"Spark has no setting {name!r}", hint="Write it such as `spark.executor.memory`.")
    return {str(name): _text(value) for name, value in values.items()} if values else None


def with_engine(environment: EnvironmentDefinition, modules: Iterable[str]) -> EnvironmentDefinition:
    """Return an environment with packages of its own that also has the engine, in the version in use here."""
    if not environment.isolated:
        return environment
    named = {re.split(r"[^\w.-]", line.strip())[0].lower() for line in (*environment.requirements, *environment.conda)}
    missing = [_pinned(module) for module in modules if module not in named]
    return replace(environment, requirements=(*environment.requirements, *missing))


def _pinned(name: str) -> str:
    try:
        return f"{name}=={version(name)}"
    except PackageNotFoundError:
        return name


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
