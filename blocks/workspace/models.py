"""Registered models: Prefect blocks, one for each version of each name; their bytes are trees of the store."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, ClassVar

from prefect.blocks.core import Block
from pydantic import Field

from stepwell.blocks.server import documents
from stepwell.blocks.store import claims
from stepwell.blocks.system.files import copy_tree, remove
from stepwell.blocks.system.locks import exclusive
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import FrozenPipelineBlock, ModuleVersionBlock, PipelineDraftBlock
from stepwell.errors import ModelPathNotFoundException, ServerException, UserErrorException
from stepwell.model.names import joined_name
from stepwell.script.events import FOLDERS

Marks = Sequence[Any]
"""What models are chosen by: names, or pairs of a name and a value."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


class ModelBlock(documents.NamedBlock, documents.DatedBlock):
    """One version of a registered model."""

    _block_type_name: ClassVar[str] = "Stepwell Model"
    _block_type_slug: ClassVar[str] = "stepwell-model"
    _description: ClassVar[str] = "A version of a model: where its bytes are, and where they come from."
    named_by: ClassVar[tuple[str, ...]] = ("workspace", "name", "version")

    workspace: str = Field(description="The workspace that the model belongs to.")
    name: str = Field(description="The model's name.")
    version: int = Field(description="The version, counted from 1.")
    digest: str = Field(description="The digest of its file or folder.")
    file_name: str = Field(description="The last name of the path that was registered.")
    description: str = Field(default="", description="What it is.")
    tags: dict[str, str] = Field(default_factory=dict, description="What it is marked with; can be changed.")
    properties: dict[str, str] = Field(default_factory=dict, description="Facts about it, which are never changed.")
    framework: str = Field(default="", description="What made it, such as ScikitLearn.")
    framework_version: str = Field(default="", description="The version of what made it.")
    run_id: str = Field(default="", description="The run that made it.")
    experiment: str = Field(default="", description="The experiment of that run.")
    step: str = Field(default="", description="The step of that run.")
    inputs: dict[str, str] = Field(default_factory=dict, description="The digests of what that step read, by name.")
    datasets: dict[str, str] = Field(
        default_factory=dict, description="What it was made with: scenarios, and datasets."
    )

    @property
    def claim(self) -> str:
        """What its claim on the store is called."""
        return f"model-{joined_name(self.name, str(self.version))}"


def add_version(
    workspace: BaseWorkspace,
    name: str,
    path: Path,
    facts: Mapping[str, Any],
    children: Iterable[str | os.PathLike[str]] | None = None,
) -> ModelBlock:
    """Keep the file or folder at `path`, or only these files of the folder, as the next version of the model `name`.

    Raises:
        UserErrorException: The name can't be used.
        ModelPathNotFoundException: There is nothing at `path`.
    """
    if not _NAME.fullmatch(name):
        hint = "Use at most 255 letters, digits, '_', '-' and '.', the first a letter or digit."
        raise UserErrorException(f"{name!r} can't name a model", hint=hint)
    if not path.exists():
        raise ModelPathNotFoundException(
            "There is no model at this path", {"path": path.absolute()}, "Correct `model_path`."
        )
    if children is not None:
        with _chosen(workspace, path, children) as folder:
            return add_version(workspace, name, folder, facts)
    store = workspace.store
    tree = store.tree_at(path)
    draft = f"model-draft-{uuid.uuid4().hex}"
    with exclusive(store.written / "models.lock"):
        claims.claim(store, draft, {"snapshots": {name: tree.digest}})
        try:
            store.add_tree(path, tree, move=False)
            version, is_kept = max((block.version for block in versions_of(workspace, name)), default=0), False
            while not is_kept:  # else somebody on another machine has the number now
                version += 1
                block = ModelBlock(
                    workspace=workspace.name,
                    name=name,
                    version=version,
                    digest=tree.digest,
                    file_name=path.absolute().name,
                    created=time.time(),
                    **facts,
                )
                is_kept = documents.create_named(block)
            claims.claim(store, block.claim, {"snapshots": {name: tree.digest}})
        finally:
            claims.disclaim(store, draft)
    store.share_tree(tree.digest)
    _show(workspace, block)
    return block


def claimed_trees(workspace: str) -> set[str]:
    """Return the trees that the workspace's models, modules, drafts and published pipelines need, whichever home made them."""
    found: set[str] = set()
    kinds: list[type[Block]] = [ModelBlock, FrozenPipelineBlock, ModuleVersionBlock, PipelineDraftBlock]
    for block in documents.load_any(kinds, workspace=workspace):
        found |= set(getattr(block, "snapshots", {}).values())
        found |= {str(getattr(block, field)) for field in ("digest", "snapshot") if getattr(block, field, "")}
    return found


def register_logged(
    workspace: BaseWorkspace, control: Path, events: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]
) -> None:
    """Register what a step logged as models, from its control folder; a link on the way to one raises OSError."""
    for event in events:
        if event["type"] == "model" and event["scope"] == "step":
            scratch = workspace.store.scratch_folder()
            try:
                copy = scratch / PurePath(event["value"]).name
                copy_tree(control / FOLDERS["step"] / event["value"], copy, below=control)
                add_version(workspace, event["name"], copy, facts)
            finally:
                remove(scratch)


def versions_of(workspace: BaseWorkspace, name: str | None = None) -> list[ModelBlock]:
    """Return the versions of the model `name`, or of all models, the latest first."""
    wanted = {"workspace": workspace.name} | ({} if name is None else {"name": name})
    return sorted(
        documents.load_all(ModelBlock, **wanted), key=lambda block: (block.created, block.version), reverse=True
    )


def find(
    workspace: BaseWorkspace,
    name: str | None = None,
    tags: Marks | None = None,
    properties: Marks | None = None,
    run_id: str | None = None,
    framework: str | None = None,
    version: int | str | None = None,
) -> list[ModelBlock]:
    """Return the versions that fit everything that is given, the latest first."""
    return [
        block
        for block in versions_of(workspace, name)
        if version is None or str(block.version) == str(version)
        if run_id in (None, block.run_id) and framework in (None, block.framework)
        if all(_has(block.tags, mark) for mark in tags or ())
        if all(_has(block.properties, mark) for mark in properties or ())
    ]


def save(block: ModelBlock) -> None:
    """Save a version whose facts have changed; raise UserErrorException if it was deleted."""
    documents.replace(block, f"model '{block.name}:{block.version}'")


def forget(workspace: BaseWorkspace, block: ModelBlock) -> None:
    """Forget a version; its bytes go when the store is collected, unless something else needs them."""
    documents.delete_named(ModelBlock, *block.own_names)
    claims.disclaim(workspace.store, block.claim)


def lineage(block: ModelBlock) -> dict[str, str]:
    """Return where a version comes from, by what each fact is called; what is not known is left out."""
    facts = {
        "run": block.run_id,
        "experiment": block.experiment,
        "step": block.step,
        **{f"input {name}": digest for name, digest in sorted(block.inputs.items())},
        **{f"dataset {name}": dataset for name, dataset in sorted(block.datasets.items())},
        "framework": " ".join(filter(None, (block.framework, block.framework_version))),
    }
    return {name: value for name, value in facts.items() if value}


def texts(marks: Mapping[str, Any] | None) -> dict[str, str]:
    """Return names and values as text."""
    return {str(name): str(value) for name, value in (marks or {}).items()}


def dataset_labels(datasets: Iterable[Any] | None) -> dict[str, str]:
    """Return each scenario with what tells its dataset: name and version, or its id."""

    def label(one: Any) -> str:
        name, version = getattr(one, "name", None), getattr(one, "version", None)
        return f"{name}:{version}" if name else str(getattr(one, "id", None) or one)

    return {str(scenario): label(one) for scenario, one in datasets or ()}


def _show(workspace: BaseWorkspace, block: ModelBlock) -> None:
    """Tell the model's versions, and where each comes from, on a page of Prefect's UI, and on that of the run."""
    rows = [
        {
            "version": one.version,
            "registered": datetime.fromtimestamp(one.created, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            "tags": ", ".join(f"{name}: {value}" for name, value in one.tags.items()),
            **lineage(one),
        }
        for one in versions_of(workspace, block.name)
    ]
    with suppress(ServerException, ValueError):  # it is registered, whether anybody can see it or not
        documents.create_artifact(
            "table",
            joined_name("model", workspace.name, block.name),
            f"Versions of the model {block.name}",
            json.dumps(rows),
            block.run_id,
        )


def _has(marks: Mapping[str, str], mark: Any) -> bool:
    if isinstance(mark, str):
        return mark in marks
    name, value = mark
    return marks.get(str(name)) == str(value)


@contextmanager
def _chosen(workspace: BaseWorkspace, folder: Path, children: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """Provide a copy of the folder that holds these files and folders alone."""
    scratch = workspace.store.scratch_folder()
    try:
        copy = scratch / folder.absolute().name
        for child in map(str, children):
            if os.path.isabs(child) or ".." in Path(child).parts:
                raise UserErrorException(f"{child!r} leads out of the model's folder", hint="Name files below it.")
            if not (folder / child).exists():
                facts = {"path": folder / child}
                raise ModelPathNotFoundException("There is no such file in the model's folder", facts, "Correct it.")
            (copy / child).parent.mkdir(parents=True, exist_ok=True)
            copy_tree(folder / child, copy / child)
        yield copy
    finally:
        remove(scratch)
