"""How a pipeline endpoint is submitted: v1's way, and Stepwell's own, which begins with the workspace as `PublishedPipeline.submit` does."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, overload

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.public.published_pipeline import PublishedPipeline


class EndpointVersion(str):
    """A version of a pipeline endpoint: the text itself, with what v1's has.

    Attributes:
        version: The version's text.
    """

    __slots__ = ("_published_id", "_workspace", "version")

    version: str
    _workspace: BaseWorkspace
    _published_id: str

    def __new__(cls, version: str, workspace: BaseWorkspace, published_id: str) -> EndpointVersion:
        """Return the version, whose published pipeline is looked up when it is asked for."""
        made = super().__new__(cls, version)
        made.version, made._workspace, made._published_id = version, workspace, published_id
        return made

    @property
    def pipeline(self) -> PublishedPipeline:
        """The published pipeline that it runs."""
        return PublishedPipeline.get(self._workspace, self._published_id)

    def __getnewargs__(self) -> tuple[str, BaseWorkspace, str]:  # type: ignore[override]  # (of what is made by more)
        return self.version, self._workspace, self._published_id


@checked
class _Submission:
    """The submission of an endpoint, by v1's arguments."""

    workspace: BaseWorkspace

    @property
    def name(self) -> str:
        """Its name."""
        raise NotImplementedError

    @property
    def status(self) -> str:
        """`Active`, `Disabled` or `Archived`."""
        raise NotImplementedError

    def get_pipeline(self, version: str | None = None) -> PublishedPipeline:
        """Return the published pipeline of a version."""
        raise NotImplementedError

    def _refresh(self) -> None:
        raise NotImplementedError

    def submit(
        self,
        experiment_name: str = "",
        pipeline_parameters: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
        pipeline_version: str | None = None,
        *,
        workspace: BaseWorkspace | None = None,
        continue_on_step_failure: bool | None = None,
        tags: Mapping[str, str] | None = None,
        regenerate_outputs: bool = False,
    ) -> PipelineRun:
        """Return the run that is submitted."""
        self._refresh()
        if self.status != "Active":
            title = f"The pipeline endpoint {self.name!r} is {self.status.lower()}"
            raise UserErrorException(title, hint="Enable it with `enable()`.")
        return self.get_pipeline(pipeline_version).submit(
            self.workspace,
            experiment_name,
            pipeline_parameters,
            parent_run_id,
            continue_on_step_failure,
            tags=tags,
            regenerate_outputs=regenerate_outputs,
        )


class EndpointSubmission(_Submission):
    """The submission of an endpoint, by v1's arguments or with the workspace before them."""

    @overload
    def submit(
        self,
        experiment_name: str = "",
        pipeline_parameters: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
        pipeline_version: str | None = None,
        *,
        workspace: BaseWorkspace | None = None,
        continue_on_step_failure: bool | None = None,
        tags: Mapping[str, str] | None = None,
        regenerate_outputs: bool = False,
    ) -> PipelineRun: ...

    @overload
    def submit(
        self,
        workspace: BaseWorkspace | None,
        experiment_name: str = "",
        pipeline_parameters: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
        continue_on_step_failure: bool | None = None,
        *,
        pipeline_version: str | None = None,
        tags: Mapping[str, str] | None = None,
        regenerate_outputs: bool = False,
    ) -> PipelineRun: ...

    def submit(self, *given: Any, **named: Any) -> PipelineRun:  # noqa: D417  (its signature is set below)
        """Submit a run of a version, by default of the default one.

        Args:
            experiment_name: The experiment that the run belongs to. A workspace may stand before it, as for a PublishedPipeline;
                `continue_on_step_failure` then has the place of `pipeline_version`.
            pipeline_parameters: Values by parameter; the others keep their defaults.
            parent_run_id: Accepted for v1's sake; not used.
            pipeline_version: The version to run; None: the default one.
            workspace: Accepted for v1's sake; not used.
            continue_on_step_failure: Whether to go on past failed steps; None: as published.
            tags: Tags of the run.
            regenerate_outputs: Whether every step runs anew.

        Returns:
            The run, which a worker or a process of this machine begins.

        Raises:
            UserErrorException: The endpoint is disabled or archived, or a parameter is wrong.
        """
        if given and (given[0] is None or isinstance(given[0], BaseWorkspace)):
            workspace, *more = given
            given, ours = tuple(more[:3]), ("continue_on_step_failure", *("more",) * len(more))
            named = {**named, "workspace": workspace, **dict(zip(ours, more[3:], strict=False))}
        return super().submit(*given, **named)

    submit.__signature__ = inspect.signature(_Submission.submit)  # type: ignore[attr-defined]  # (code of v1 looks at it)
