"""What a step type says of its driver: the module that runs its script in place of Python itself.

A new step type is a class in a folder beside this module, with `DriverOptions` of a module of `src/stepwell/drivers`, and its name
in `src/stepwell/__init__.pyi`. One whose script is in another language says what its key has to hold: `Language`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.ports import is_port
from stepwell.model.definitions import Argument, Driver, Language, Piece


@dataclass(frozen=True)
class DriverOptions:
    """A driver and what it is told.

    Its module has a function `main(script, settings)`: the script's path in its working directory, '' if there is none,
    and the settings as texts. `sys.argv` and everything else is as for a script. It ends as a script does. A function
    `refuse(known)` raises UserErrorException for what is wrong with a `Known` step before it runs, which `plan` and `validate` tell.

    Attributes:
        name: The module's name in `stepwell.drivers`, or the whole name of another module, with a dot.
        settings: Texts, numbers, parameters, inputs and outputs by name; lists and dicts become JSON, None is left out.
        modules: The modules that it imports itself, such as `("duckdb",)`: their packages are part of the key.
        extra: The extra of Stepwell that brings them, such as `usql`.
        provides: The modules that the script finds though nobody installed them: the driver makes them up.
        language: How the script's imports are found: `python`, `notebook` (in its code cells), `r`, or `text` (not at all).
        version: Another number when the driver has other results.
        hints: Settings that decide no result, such as the size of a cluster: the driver is told, and the key has no part of them.
        on_host: Whether it runs on the machine of the run, with Stepwell's own Python: target and environment of the step are
            those of the runs that it has made.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    extra: str = ""
    provides: tuple[str, ...] = ()
    language: Language = "python"
    version: int = 1
    hints: Mapping[str, Any] = field(default_factory=dict)
    on_host: bool = False

    def definition(self, pieces_of: Callable[[Any], Argument]) -> Driver:
        """Return the driver as plain values; `pieces_of` returns what a parameter or port is in an argument."""
        settings, hints = (_settings(given, pieces_of) for given in (self.settings, self.hints))
        more = (self.modules, self.extra, self.provides, self.language, self.version, hints, self.on_host)
        return Driver(self.name, settings, *more)


def _settings(given: Mapping[str, Any], pieces_of: Callable[[Any], Argument]) -> dict[str, Argument]:
    return {name: _setting(name, value, pieces_of) for name, value in given.items() if value is not None}


def _setting(name: str, value: Any, pieces_of: Callable[[Any], Argument]) -> Argument:
    if isinstance(value, PipelineParameter) or is_port(value):
        return pieces_of(value)
    if isinstance(value, (str, int, float)):
        return (Piece("text", str(value)),)
    try:
        return (Piece("text", json.dumps(value, sort_keys=isinstance(value, Mapping))),)
    except (TypeError, ValueError):
        title, hint = f"The setting {name!r} is no plain value", "Pass texts, numbers, lists or dicts of them."
        raise UserErrorException(title, {"value": repr(value)[:200]}, hint) from None
