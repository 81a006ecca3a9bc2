"""The least that Prefect can be asked to do: a flow without tasks, with Prefect's own settings."""

from prefect import flow


@flow
def empty() -> None:
    """Do nothing."""


empty()
