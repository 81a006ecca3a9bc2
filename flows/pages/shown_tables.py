"""Collections that notebooks show as tables, and that are what they were to everybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol, TypeVar

from stepwell.flows.pages.notebook import metrics_html, plan_html, runs_html
from stepwell.flows.runs.summary import RunSummary
from stepwell.model.records import Decision

T = TypeVar("T")
_MOST_RUNS = 50


class Plan(tuple[Decision, ...]):
    """What a run would do, a decision for each step."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return plan_html(self)


class Metrics(dict[str, Any]):
    """Metrics by name."""

    @classmethod
    def named(cls, name: str | None, found: Mapping[str, Any]) -> Metrics:
        """Return those of the name, or all."""
        return cls((key, value) for key, value in found.items() if name in (None, key))

    def _repr_html_(self) -> str:
        return metrics_html(self)


class Shown(Iterator[T]):
    """An iterator that a notebook shows without using it up.

    Args:
        found: Returns what to iterate over.
        html: Returns it as a table.
    """

    def __init__(self, found: Callable[[], Iterable[T]], html: Callable[[], str]) -> None:
        self._found, self._html = found, html
        self._left: Iterator[T] | None = None

    def __next__(self) -> T:
        if self._left is None:
            self._left = iter(self._found())
        return next(self._left)

    def _repr_html_(self) -> str:
        return self._html()


class Listed(list[T]):
    """A list that a notebook shows as the table that `html` returns."""

    def __init__(self, found: Iterable[T], html: Callable[[], str]) -> None:
        super().__init__(found)
        self._html = html

    def __reduce__(self) -> tuple[type[list[T]], tuple[list[T]]]:
        return list, ([*self],)

    def _repr_html_(self) -> str:
        return self._html()


class HasSummary(Protocol):
    """A run of which is known how it stands."""

    def summary(self) -> RunSummary:
        """Return what is known of the run now."""
        ...


def runs_table(runs: Iterable[HasSummary]) -> str:
    """Return runs as a table, the first of many."""
    found = [run.summary() for run in islice(runs, _MOST_RUNS + 1)]
    more = f"<p>The first {_MOST_RUNS} runs.</p>" if len(found) > _MOST_RUNS else ""
    return runs_html(found[:_MOST_RUNS]) + more
