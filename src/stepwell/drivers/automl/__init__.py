"""The driver of an AutoMLStep: FLAML tries models of a table, each is judged by v1's metrics, and the best one is kept."""

from __future__ import annotations

from stepwell.drivers.automl.tables import refuse

__all__ = ["main", "refuse"]


def main(script: str, settings: dict[str, str]) -> None:  # noqa: ARG001  (what every driver is called with)
    """Search for the best model of the input `training_data`, and write it and the metrics of all."""
    from stepwell.drivers.automl.search import search

    search(settings)
