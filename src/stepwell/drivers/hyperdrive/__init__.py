"""The driver of a sweep: it proposes hyperparameters, has a run made of each, stops the bad ones and tells which was best."""

from __future__ import annotations


def main(script: str, settings: dict[str, str]) -> None:  # noqa: ARG001  (what every driver is called with)
    """Run the sweep that the settings describe; each trial runs the step's own script."""
    from stepwell.drivers.hyperdrive.step import run

    run(settings)
