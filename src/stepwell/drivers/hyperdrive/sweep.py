"""The sweep itself: trials are started, looked at and stopped, until there are no more."""

from __future__ import annotations

import re

from stepwell.drivers.hyperdrive.expressions import argument_text, option_name
from stepwell.drivers.hyperdrive.policies import best_of, last_due, why_stopped
from stepwell.drivers.hyperdrive.sampling import sampler_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Protocol

    class Host(Protocol):
        """What makes a run of each trial."""

        def submit(self, number: int, values: Mapping[str, Any], arguments: list[str]) -> str:
            """Return the id of the new run."""
            ...

        def look(self) -> Mapping[str, Mapping[str, Any]]:
            """Return `status`, `values` of the primary metric, `error` and more of each run that may have changed."""
            ...

        def cancel(self, run_id: str, why: str) -> None:
            """Stop a run."""
            ...


ENDED = ("Finished", "Failed", "Canceled")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


class Trial:
    """One set of hyperparameters, and what became of its run.

    Attributes:
        number: From 0.
        hyperparameters: The values by name.
        id: The run's id.
        status: `Finished`, `Failed`, `Canceled`, or what comes before.
        values: The values of the primary metric, in the order in which they were logged.
        error: Why it failed.
        stopped: Why a policy, or the time, ended it.
        cut: Whether it was the sweep's time that did.
        reused: Whether an earlier run's result was used.
    """

    def __init__(self, number: int, hyperparameters: dict[str, Any], id: str) -> None:
        self.number, self.hyperparameters, self.id = number, hyperparameters, id
        self.status, self.error, self.stopped = "NotStarted", "", ""
        self.values: list[float] = []
        self.reused = self.cut = False
        self._judged = 0

    @property
    def ended(self) -> bool:
        """Whether its run has ended."""
        return self.status in ENDED

    def intervals(self) -> list[int]:
        """Return the intervals at which no policy has looked at it yet, at least its last: others may have come so far since."""
        before, self._judged = self._judged, len(self.values)
        return list(range(min(before + 1, self._judged), self._judged + 1)) if self._judged else []


def best_trial(goal: str, trials: Iterable[Trial]) -> Trial | None:
    """Return the trial with the best value of the primary metric, the first of several; None if none has any."""
    sign = 1 if goal == "maximize" else -1
    known = [
        (sign * value, -trial.number, trial) for trial in trials if (value := best_of(goal, trial.values)) is not None
    ]
    return max(known)[2] if known else None


class Sweep:
    """The trials of one sweep.

    Args:
        settings: What `HyperDriveConfig` says, as plain values.
        host: What makes runs.
        clock: Returns the seconds since some moment.
        pause: Lets some time pass.
        say: Tells people what happens.
        progress: Tells those who follow the run how far the sweep is.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        host: Host,
        clock: Callable[[], float],
        pause: Callable[[float], None],
        say: Callable[[str], None] = print,
        progress: Callable[[str], object] = str,
    ) -> None:
        self._settings, self._host, self._clock, self._pause, self._say = settings, host, clock, pause, say
        self._goal = str(settings["primary_metric"]["goal"])
        self._sampler = sampler_of(settings["sampling"], self._goal)
        self._most = int(settings["max_total_runs"])
        self._concurrent = min(self._most, int(settings["max_concurrent_runs"] or self._most))
        self._exhausted = self._cut_short = False
        self._progress, self._told = progress, ""
        self.trials: list[Trial] = []

    def run(self) -> list[Trial]:
        """Run all trials, and return them."""
        until = self._clock() + 60 * float(self._settings["max_duration_minutes"])
        pause = _SHORTEST_PAUSE
        while True:
            self._start()
            self._tell()
            if all(trial.ended for trial in self.trials) and not self._more:
                return self.trials
            if self._clock() >= until:
                self._end_for_time()
            self._pause(pause)
            pause = _SHORTEST_PAUSE if self._look() else min(2 * pause, _LONGEST_PAUSE)

    @property
    def best(self) -> Trial | None:
        """The trial with the best value of the primary metric; None if none has any."""
        return best_trial(self._goal, self.trials)

    @property
    def best_finished(self) -> Trial | None:
        """The best of the trials that have ended well: others may lack their files."""
        return best_trial(self._goal, [trial for trial in self.trials if trial.status == "Finished"])

    def value(self, trial: Trial) -> float | None:
        """Return the best value that a trial has logged, None if there is none."""
        return best_of(self._goal, trial.values)

    @property
    def lacks(self) -> str:
        """What the sweep was to have and has not, in words, '' if it is whole: what a policy ends is no lack."""
        cancelled = [trial for trial in self.trials if trial.status == "Canceled"]
        counts = {
            "failed": sum(trial.status == "Failed" for trial in self.trials),
            "cancelled": sum(not trial.stopped for trial in cancelled),
            "out of time": sum(trial.cut for trial in cancelled),
        }
        words = [f"{count} {what}" for what, count in counts.items() if count]
        words += ["the time over before all had begun"] if self._cut_short else []
        lacks = [f"of its {len(self.trials)} trials {', '.join(words)}"] if words else []
        if self.best is None and any(trial.status == "Finished" for trial in self.trials):
            lacks.append(f"no trial has a value of the primary metric {self._settings['primary_metric']['name']!r}")
        return "; ".join(lacks)

    @property
    def _more(self) -> bool:
        return not self._exhausted and len(self.trials) < self._most

    def _start(self) -> None:
        while self._more and sum(not trial.ended for trial in self.trials) < self._concurrent:
            number = len(self.trials)
            first = self.trials[: self._sampler.waits_for(number, self._concurrent)]
            if not all(trial.ended for trial in first):
                return
            values = self._sampler.propose(number, {trial.number: self.value(trial) for trial in first})
            if values is None:
                self._exhausted = True
                self._say(f"The space has {number} different combinations, so there are no more trials")
                return
            arguments = [text for name in values for text in (option_name(name), argument_text(values[name]))]
            self.trials.append(Trial(number, values, self._host.submit(number, values, arguments)))

    def _tell(self) -> None:
        ended, best = sum(trial.ended for trial in self.trials), self.best
        total = len(self.trials) if self._exhausted else self._most
        words = f"{ended} of {total} trials, {len(self.trials) - ended} at work"
        if best is not None:
            words += f", best {self._settings['primary_metric']['name']} {self.value(best):.6g}"
        if words != self._told:
            self._told = words
            self._progress(words)

    def _look(self) -> bool:
        """Take in what has changed of the trials, and return whether anything has."""
        seen = self._host.look()
        for trial in self.trials:
            if trial.id in seen and not trial.ended:
                facts = seen[trial.id]
                trial.status, trial.error = str(facts["status"]), str(facts["error"])
                trial.values, trial.reused = [float(value) for value in facts["values"]], bool(facts["reused"])
                if trial.ended:
                    self._say(self._line(trial))
        if seen:
            self._apply_policy()
        return bool(seen)

    def _apply_policy(self) -> None:
        policy = self._settings["policy"]
        if not policy:
            return
        curves = {trial.number: trial.values for trial in self.trials}
        finished = frozenset(trial.number for trial in self.trials if trial.status == "Finished")
        living = [trial for trial in self.trials if not trial.ended and not trial.stopped]
        for interval, number in sorted((last_due(policy, one), t.number) for t in living for one in t.intervals()):
            why = why_stopped(policy, self._goal, curves, number, interval, finished) if interval else ""
            if why and not self.trials[number].stopped:
                self._stop(self.trials[number], f"{policy['name']} policy at interval {interval}: {why}")

    def _end_for_time(self) -> None:
        minutes = float(self._settings["max_duration_minutes"])
        if self._more:
            self._say(f"The sweep ends after {minutes:g} minutes, with {len(self.trials)} of {self._most} trials")
            self._cut_short = True
        self._exhausted = True
        for trial in self.trials:
            if not trial.ended and not trial.stopped:
                trial.cut = True
                self._stop(trial, f"the sweep has taken its {minutes:g} minutes")

    def _stop(self, trial: Trial, why: str) -> None:
        trial.stopped = why
        self._host.cancel(trial.id, why)

    def _line(self, trial: Trial) -> str:
        value = self.value(trial)
        name = self._settings["primary_metric"]["name"]
        words = [f"trial {trial.number}", "reused" if trial.reused else trial.status.lower()]
        words += [] if value is None else [f"{name} {value:.6g}"]
        words += [f"{key}={argument_text(value)}" for key, value in trial.hyperparameters.items()]
        reason = trial.stopped or last_words(trial.error)
        return "  ".join([*words, *([f"({reason})"] if reason else [])])


def last_words(error: str) -> str:
    """Return the last line that a script wrote before it failed, as the error has it; else the error's first line."""
    lines = error.splitlines() or [""]
    ends = [number for number, line in enumerate(lines) if number and re.match(r"  log  ", line)]
    return re.sub(r"^ *(?:last lines  )? *", "", lines[ends[0] - 1]) if ends else lines[0]
