"""What the host can say before the step runs: how many mini-batches will run, since what they hold is new."""

from __future__ import annotations

from collections.abc import Mapping

from stepwell.drivers.parallel_run.driving import split_by
from stepwell.drivers.parallel_run.results import read_index
from stepwell.drivers.parallel_run.settings import EARLIER, Settings
from stepwell.drivers.parallel_run.sources import foretold_sources
from stepwell.model.records import Contents


def foretell(settings: Mapping[str, str], contents: Mapping[str, Contents]) -> str:
    """Return in words how many mini-batches will run, '' if nothing is known of an earlier execution."""
    chosen = Settings.of(settings)
    if not chosen.keeps:
        return ""
    earlier = read_index(contents[EARLIER].path)
    if earlier.why_not:
        return f"all mini-batches will run: {earlier.why_not}"
    if not earlier.rows:
        return ""
    batches = split_by(chosen, foretold_sources(contents, chosen.inputs), earlier.moved)
    new = [batch for batch in batches if batch.identity not in earlier.rows]
    files = sum(len(batch.items) for batch in new)
    return f"{len(new):,} of {len(batches):,} mini-batches will run, with {files:,} file{'s' if files != 1 else ''}"
