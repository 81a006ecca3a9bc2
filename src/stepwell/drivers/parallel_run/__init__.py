"""The driver of ParallelRunStep: items in mini-batches, given to worker processes that run the entry script's `run`."""

from __future__ import annotations

from collections.abc import Mapping

from stepwell.drivers.parallel_run.driving import drive
from stepwell.drivers.parallel_run.results import read_index
from stepwell.drivers.parallel_run.settings import EARLIER, Settings
from stepwell.drivers.parallel_run.sources import foretold_sources
from stepwell.drivers.parallel_run.splitting import Split
from stepwell.model.records import Contents

__all__ = ["foretell", "main"]


def main(script: str, settings: Mapping[str, str]) -> None:
    """Run the entry script over all items of the step's inputs; end as a script does that failed if too many fail."""
    drive(script, settings)


def foretell(settings: Mapping[str, str], contents: Mapping[str, Contents]) -> str:
    """Return in words how many mini-batches will run, '' if nothing is known of an earlier execution.

    That is what the host can say before the step runs.
    """
    chosen = Settings.of(settings)
    if not chosen.keeps:
        return ""
    earlier = read_index(contents[EARLIER].path)
    if earlier.why_not:
        return f"all mini-batches will run: {earlier.why_not}"
    if not earlier:
        return ""
    count = new = files = 0
    for _, batch, stands in Split(chosen, foretold_sources(contents, chosen.inputs), earlier).mini_batches():
        count += 1
        if stands is None:
            new += 1
            files += len(batch.names)
    return f"{new:,} of {count:,} mini-batches will run, with {files:,} file{'s' if files != 1 else ''}"
