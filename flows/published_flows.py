"""The flows of published pipelines, made when asked for: `p_<id in hexadecimal>`, which deployments name as their entrypoint.

The module stands at the top of `flows` because deployments that exist already hold its dotted name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from prefect import Flow


def __getattr__(name: str) -> Flow[..., Any]:
    if not re.fullmatch("p_[0-9a-f]{32}", name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stepwell.flows.publishing.frozen_pipeline import FrozenPipeline

    return FrozenPipeline.get(str(UUID(name.removeprefix("p_")))).flow
