"""The process of a run that a worker starts: `python -m stepwell.flows.worker_run`, the run named by Prefect's variables.

It is Prefect's own engine, under the settings that Stepwell's flows want. The module stands at the top of `flows` because
work pools that exist already hold its dotted name.
"""

from __future__ import annotations

import runpy

from stepwell.blocks.server.connection import client_settings


def main() -> None:
    """Run the flow run to its end, and exit with a code that tells the worker how it ended."""
    with client_settings():
        runpy.run_module("prefect.engine", run_name="__main__")


if __name__ == "__main__":
    main()
