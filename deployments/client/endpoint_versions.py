"""Versions of pipeline endpoints, as v1 has them."""

from __future__ import annotations

from stepwell.blocks.workspace.base_workspace import BaseWorkspace
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
