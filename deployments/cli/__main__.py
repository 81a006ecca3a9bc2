"""The command line as `python -m stepwell.deployments.cli`."""

from __future__ import annotations

from stepwell.deployments.cli.entry import main

main()
