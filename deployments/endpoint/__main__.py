"""The process of the HTTP endpoint as `python -m stepwell.deployments.endpoint`."""

from __future__ import annotations

from stepwell.deployments.endpoint.process import main

main()
