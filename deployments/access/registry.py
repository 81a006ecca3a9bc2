"""What can be called and who may call it, as Prefect knows it at the moment of each call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from prefect.blocks.core import Block

from stepwell.blocks.access.tokens import TokenBlock
from stepwell.blocks.server import documents
from stepwell.blocks.server.retry import with_retries
from stepwell.blocks.workspace.publications import PipelineEndpointBlock, PublishedPipelineBlock
from stepwell.blocks.workspace.workspace_store import WorkspaceBlock
from stepwell.deployments.access.http_errors import BadRequest, HttpError
from stepwell.deployments.access.shared_lookup import SharedLookup
from stepwell.flows.public.workspace import Workspace

B = TypeVar("B", bound=Block)
_KINDS = (PublishedPipelineBlock, PipelineEndpointBlock, TokenBlock, WorkspaceBlock)
SECONDS_WITHOUT_SERVER = 15.0


@dataclass(frozen=True)
class Target:
    """A published pipeline as it was addressed. `address` is the id of what was named: itself, or an endpoint."""

    published: PublishedPipelineBlock
    address: str


@dataclass(frozen=True)
class Registry:
    """Published pipelines (newest first), the endpoints over them, tokens, and workspaces.

    A name without a workspace is that of the workspace that had it first: nobody turns the address of others away.
    """

    published: tuple[PublishedPipelineBlock, ...] = ()
    endpoints: tuple[PipelineEndpointBlock, ...] = ()
    tokens: tuple[TokenBlock, ...] = ()
    workspaces: tuple[WorkspaceBlock, ...] = ()

    # Lookups: every one of these raises HttpError with status 403, 404 or 410 ---------------------------------------------

    def by_id(self, published_id: str) -> Target:
        """Return the published pipeline of that id."""
        return Target(_active(self.any_by_id(published_id)), published_id)

    def by_endpoint_id(self, endpoint_id: str, version: str | None) -> Target:
        """Return a version, or the default, of the pipeline endpoint of that id."""
        found = [endpoint for endpoint in self.endpoints if endpoint.endpoint_id == endpoint_id]
        return self._version_of(_first(found, f"pipeline endpoint {endpoint_id!r}"), version)

    def by_endpoint_name(self, name: str, version: str | None, workspace: str | None = None) -> Target:
        """Return a version, or the default, of the pipeline endpoint of that name."""
        owner = _first_owner(one for one in self.endpoints if one.name == name) if workspace is None else workspace
        return self._version_of(_first(self._endpoints(name, owner), f"pipeline endpoint {name!r}"), version)

    def by_name(self, name: str, version: str | None, workspace: str | None = None) -> Target:
        """Return what the pipeline endpoint of that name runs, or else the newest published pipeline of that name.

        A version that both have is one, or is refused: earlier releases numbered those of an endpoint by themselves.
        """
        owner = self._owners.get(name, "") if workspace is None else workspace
        named = [block for block in self.published if block.name == name and block.workspace == owner]
        found = [block for block in named if version in (None, block.version)]
        active = [block for block in found if block.status == "Active"]
        if endpoints := self._endpoints(name, owner):
            of_endpoint = "" if version is None else endpoints[0].versions.get(version, "")
            others = [block.published_id for block in active if block.published_id != of_endpoint]
            if version is None or not others:
                return self.by_endpoint_name(name, version, owner)
            if of_endpoint:
                raise _ambiguous([of_endpoint, *others])
        if version is not None and len(active) > 1:
            raise _ambiguous([block.published_id for block in active])
        if not found:
            what = f"pipeline {name!r}" + (f" of version {version!r}" if version is not None and named else "")
            raise _unknown(what)
        chosen = _active((active or found)[0])
        return Target(chosen, chosen.published_id if version is not None else f"{chosen.workspace}/{name}")

    def _endpoints(self, name: str, workspace: str) -> list[PipelineEndpointBlock]:
        found = [one for one in self.endpoints if one.name == name and one.workspace == workspace]
        return [one for one in found if one.status != "Archived"] or found

    def _version_of(self, endpoint: PipelineEndpointBlock, version: str | None) -> Target:
        if endpoint.status == "Archived":
            raise HttpError(410, "Archived", f"The pipeline endpoint {endpoint.name!r} was archived", "Call another.")
        if endpoint.status != "Active":
            raise _disabled(f"pipeline endpoint {endpoint.name!r}")
        chosen = endpoint.default_version if version is None else version
        if chosen not in endpoint.versions:
            raise _unknown(f"version {chosen!r} of the pipeline endpoint {endpoint.name!r}")
        block = self.any_by_id(endpoint.versions[chosen])
        if block.status != "Active" and chosen != endpoint.default_version:
            raise HttpError(
                410, "Withdrawn", f"Version {chosen!r} of {endpoint.name!r} was withdrawn", "Call the default version."
            )
        return Target(_active(block), endpoint.endpoint_id)

    def any_by_id(self, published_id: str) -> PublishedPipelineBlock:
        """Return the published pipeline of that id, disabled or not."""
        found = [block for block in self.published if block.published_id == published_id]
        return _first(found, f"published pipeline {published_id!r}")

    def workspace(self, name: str) -> Workspace:
        """Return the workspace of that name."""
        return Workspace.of_block(
            _first((block for block in self.workspaces if block.name == name), f"workspace {name!r}")
        )

    # Scopes ---------------------------------------------------------------------------------------------------------------

    def names_of(self, published: PublishedPipelineBlock) -> set[str]:
        """Return the ids and names that a token's scope can mean it by: its own, and those of endpoints over it."""
        over = [
            one
            for one in self.endpoints
            if one.workspace == published.workspace and published.published_id in one.versions.values()
        ]
        own = {published.published_id, *self._scopes(published)}
        return own.union(*(self.names_of_endpoint(one) for one in over))

    def names_of_endpoint(self, endpoint: PipelineEndpointBlock) -> set[str]:
        """Return the id and names that a token's scope can mean the endpoint by."""
        return {endpoint.endpoint_id, *self._scopes(endpoint)}

    def _scopes(self, block: PublishedPipelineBlock | PipelineEndpointBlock) -> set[str]:
        """Return the block's name as one of its workspace, and also alone if that had the name first."""
        alone = {block.name} if self._owners.get(block.name) == block.workspace else set()
        return {f"{block.workspace}/{block.name}", *alone}

    @cached_property
    def _owners(self) -> dict[str, str]:
        """The workspace that had each name first, also if what has it there is disabled or archived by now."""
        known: tuple[PublishedPipelineBlock | PipelineEndpointBlock, ...] = (*self.published, *self.endpoints)
        named: dict[str, list[PublishedPipelineBlock | PipelineEndpointBlock]] = {}
        for block in known:
            named.setdefault(block.name, []).append(block)
        return {name: _first_owner(blocks) for name, blocks in named.items()}

    def token(self, token_id: str) -> TokenBlock | None:
        """Return the token of that id, None if there is none."""
        return next((block for block in self.tokens if block.token_id == token_id), None)


def _load() -> Registry:
    found = with_retries(lambda: documents.load_any(_KINDS), SECONDS_WITHOUT_SERVER)
    published = [block for block in found if isinstance(block, PublishedPipelineBlock)]
    return Registry(
        tuple(sorted(published, key=lambda block: block.created, reverse=True)),
        tuple(block for block in found if isinstance(block, PipelineEndpointBlock)),
        tuple(block for block in found if isinstance(block, TokenBlock)),
        tuple(block for block in found if isinstance(block, WorkspaceBlock)),
    )


SHARED = SharedLookup(_load)
"""The registry, never older than the call that asks for it."""


def _first_owner(blocks: Iterable[PublishedPipelineBlock | PipelineEndpointBlock]) -> str:
    """Return the workspace of the block that was saved first; '' without any."""
    return min(((block.first_saved, block.workspace) for block in blocks), default=(0, ""))[1]


def _first(found: Iterable[B], what: str) -> B:
    for block in found:
        return block
    raise _unknown(what)


def _active(block: PublishedPipelineBlock) -> PublishedPipelineBlock:
    if block.status != "Active":
        raise _disabled(f"published pipeline {block.name!r}, version {block.version!r},")
    return block


def _unknown(what: str) -> HttpError:
    return HttpError(404, "NotFound", f"There is no {what:.300}", "List what there is with GET /pipelines.")


def _ambiguous(ids: Iterable[str]) -> HttpError:
    found = ", ".join(ids)
    return BadRequest(409, "version", f"Several published pipelines have that version: {found}", "Call one by id.")


def _disabled(what: str) -> HttpError:
    return HttpError(403, "Disabled", f"The {what} is disabled", "Ask its owner to enable it.")
