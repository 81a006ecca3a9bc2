"""Which trials are ended early: policies look at the primary metric each time that a trial logs it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException


@checked
class EarlyTerminationPolicy:
    """What the policies have in common. An interval is one logging of the primary metric.

    Args:
        evaluation_interval: At which intervals it looks: at each multiple of this.
        delay_evaluation: The first interval at which it may look.

    Attributes:
        evaluation_interval: As the argument.
        delay_evaluation: As the argument.

    Raises:
        UserErrorException: `evaluation_interval` is below 1, or `delay_evaluation` below 0.
    """

    _name: ClassVar[str] = "none"

    def __init__(self, evaluation_interval: int = 1, delay_evaluation: int = 0) -> None:
        self.evaluation_interval = _at_least(1, "evaluation_interval", evaluation_interval)
        self.delay_evaluation = _at_least(0, "delay_evaluation", delay_evaluation)

    def to_plain(self) -> dict[str, Any]:
        """Return the policy as plain values.

        Returns:
            Its name and arguments.
        """
        return {"name": self._name, **vars(self)}


@checked
class BanditPolicy(EarlyTerminationPolicy):
    """Ends a trial whose best value so far is farther from the best trial's than a slack, at the same interval.

    Args:
        evaluation_interval: At which intervals it looks: at each multiple of this.
        slack_factor: The slack as a ratio: with 0.2, of a best value of 0.9, trials below 0.9 / 1.2 are ended; if less is
            better, those above 0.9 * 1.2.
        slack_amount: The slack as an amount: with 0.2, trials below 0.7 are ended; one of the two has to be given.
        delay_evaluation: The first interval at which it may look.

    Attributes:
        slack_factor: As the argument.
        slack_amount: As the argument.

    Raises:
        UserErrorException: There is no slack, both are given, or it is below 0.
    """

    _name: ClassVar[str] = "bandit"

    def __init__(
        self,
        evaluation_interval: int = 1,
        slack_factor: float | None = None,
        slack_amount: float | None = None,
        delay_evaluation: int = 0,
    ) -> None:
        super().__init__(evaluation_interval, delay_evaluation)
        given = [slack for slack in (slack_factor, slack_amount) if slack is not None]
        if len(given) != 1 or not 0 <= given[0] < math.inf:
            raise UserErrorException(
                "A BanditPolicy needs one slack of at least 0",
                {"slack_factor": slack_factor, "slack_amount": slack_amount},
                "Pass either `slack_factor` or `slack_amount`.",
            )
        self.slack_factor, self.slack_amount = slack_factor, slack_amount


@checked
class MedianStoppingPolicy(EarlyTerminationPolicy):
    """Ends a trial whose best value so far is worse than the median of all trials' averages up to the same interval.

    Args:
        evaluation_interval: At which intervals it looks: at each multiple of this.
        delay_evaluation: The first interval at which it may look.
    """

    _name: ClassVar[str] = "median"


@checked
class TruncationSelectionPolicy(EarlyTerminationPolicy):
    """Ends the worst trials at each interval at which it looks, by their values at that interval.

    Args:
        truncation_percentage: How many of a hundred trials it ends, from 1 to 99.
        evaluation_interval: At which intervals it looks: at each multiple of this.
        delay_evaluation: The first interval at which it may look.
        exclude_finished_jobs: Whether trials that have finished are left out of the count.

    Attributes:
        truncation_percentage: As the argument.
        exclude_finished_jobs: As the argument.

    Raises:
        UserErrorException: `truncation_percentage` is not from 1 to 99.
    """

    _name: ClassVar[str] = "truncation"

    def __init__(
        self,
        truncation_percentage: int,
        evaluation_interval: int = 1,
        delay_evaluation: int = 0,
        exclude_finished_jobs: bool = False,
    ) -> None:
        super().__init__(evaluation_interval, delay_evaluation)
        if not 1 <= truncation_percentage <= 99:
            facts = {"value": truncation_percentage}
            raise UserErrorException("`truncation_percentage` must be from 1 to 99", facts, "Correct it.")
        self.truncation_percentage = truncation_percentage
        self.exclude_finished_jobs = exclude_finished_jobs


@checked
class NoTerminationPolicy(EarlyTerminationPolicy):
    """Ends no trial; the same as no policy."""

    def __init__(self) -> None:
        super().__init__()


def _at_least(lowest: int, name: str, value: int) -> int:
    if isinstance(value, bool) or value < lowest:
        facts = {"value": value}
        raise UserErrorException(f"`{name}` must be a whole number of at least {lowest}", facts, f"Correct `{name}`.")
    return value
