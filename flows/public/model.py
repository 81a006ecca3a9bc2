"""`Model`: a version of a registered model, its bytes kept by content, its origin known."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.system.files import copy_named, remove
from stepwell.blocks.workspace import models
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import ModelNotFoundException, ModelPathNotFoundException, UserErrorException
from stepwell.model.tree import scan


@checked
class Model:
    """A version of a registered model: the latest that fits what is asked for.

    Args:
        workspace: The workspace that knows it.
        name: Its name; None for any.
        id: Its `<name>:<version>`, in place of both.
        tags: Tags that it must have: names, or pairs of a name and a value.
        properties: Properties that it must have, as for `tags`.
        version: Its version; None for the latest that fits.
        run_id: The run that registered it; None for any.
        model_framework: What made it, such as `Model.Framework.SCIKITLEARN`; None for any.
        expand: Accepted for v1's sake; not used.

    Raises:
        ModelNotFoundException: No registered model fits.
    """

    class Framework:
        """Names of what makes models."""

        CUSTOM = "Custom"
        TENSORFLOW = "TensorFlow"
        SCIKITLEARN = "ScikitLearn"
        ONNX = "Onnx"
        PYTORCH = "PyTorch"
        MULTI = "Multi"

    def __init__(
        self,
        workspace: BaseWorkspace,
        name: str | None = None,
        id: str | None = None,
        tags: models.Marks | None = None,
        properties: models.Marks | None = None,
        version: int | str | None = None,
        run_id: str | None = None,
        model_framework: str | None = None,
        expand: bool = True,
    ) -> None:
        if id is not None:
            name, _, version = id.partition(":")
        found = models.find(workspace, name, tags, properties, run_id, model_framework, version)
        if not found:
            asked = {"name": name, "version": version, "tags": tags, "properties": properties, "run": run_id}
            raise ModelNotFoundException(
                "There is no such model in the workspace",
                {"workspace": workspace.name, **{what: value for what, value in asked.items() if value}},
                "List the models with `Model.list(workspace)`.",
            )
        self.workspace = workspace
        self._block = found[0]

    @classmethod
    def _of(cls, workspace: BaseWorkspace, block: models.ModelBlock) -> Model:
        made = cls.__new__(cls)
        made.workspace, made._block = workspace, block  # noqa: SLF001  (its own)
        return made

    @classmethod
    def register(
        cls,
        workspace: BaseWorkspace,
        model_path: str | PurePath,
        model_name: str,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        description: str | None = None,
        datasets: Any = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        child_paths: Iterable[str] | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
        *,
        origin: Mapping[str, Any] | None = None,
    ) -> Model:
        """Keep a file or folder as the next version of a model.

        Args:
            workspace: The workspace that will know it.
            model_path: The file or folder.
            model_name: The model's name: letters, digits, `_`, `-` and `.`.
            tags: What it is marked with; can be changed.
            properties: Facts about it, which are never changed.
            description: What it is.
            datasets: What it was made with: pairs of a scenario, such as `training`, and a dataset.
            model_framework: What made it, such as `Model.Framework.SCIKITLEARN`.
            model_framework_version: The version of what made it.
            child_paths: Which files of the folder belong to it; by default all.
            sample_input_dataset: Accepted for v1's sake; not used.
            sample_output_dataset: Accepted for v1's sake; not used.
            resource_configuration: Accepted for v1's sake; not used.
            origin: Where it comes from: `run_id`, `experiment`, `step` and `inputs`; given by the runs that register.

        Returns:
            The model, with its version.

        Raises:
            UserErrorException: The name can't be used.
            ModelPathNotFoundException: There is nothing at the path.
        """
        facts = {
            "tags": models.texts(tags),
            "properties": models.texts(properties),
            "description": description or "",
            "framework": model_framework or "",
            "framework_version": model_framework_version or "",
            "datasets": models.dataset_labels(datasets),
            **(origin or {}),
        }
        return cls._of(workspace, models.add_version(workspace, model_name, Path(model_path), facts, child_paths))

    @classmethod
    def list(
        cls,
        workspace: BaseWorkspace,
        name: str | None = None,
        tags: models.Marks | None = None,
        properties: models.Marks | None = None,
        run_id: str | None = None,
        latest: bool = False,
        dataset_id: str | None = None,
        expand: bool = True,
        page_count: int = 255,
        model_framework: str | None = None,
    ) -> list[Model]:
        """List the registered models that fit, the latest first.

        Args:
            workspace: The workspace.
            name: Their name; by default all.
            tags: Tags that they must have: names, or pairs of a name and a value.
            properties: Properties that they must have, as for `tags`.
            run_id: The run that registered them.
            latest: Whether only the latest version of each name is wanted.
            dataset_id: Accepted for v1's sake; not used.
            expand: Accepted for v1's sake; not used.
            page_count: Accepted for v1's sake; not used.
            model_framework: What made them.

        Returns:
            The models.
        """
        found = models.find(workspace, name, tags, properties, run_id, model_framework)
        if latest:
            found = list({block.name: block for block in reversed(found)}.values())[::-1]
        return [cls._of(workspace, block) for block in found]

    @staticmethod
    def get_model_path(
        model_name: str, version: int | str | None = None, _workspace: BaseWorkspace | None = None
    ) -> str:
        """Copy a model to `azureml-models/<name>/<version>/` of the current directory, unless it is there already.

        Args:
            model_name: The model's name.
            version: Its version; by default the latest.
            _workspace: The workspace; by default that of `config.json`, as `Workspace.from_config` finds it.

        Returns:
            The path of the model's file or folder.

        Raises:
            ModelNotFoundException: There is no such model.
        """
        from stepwell.flows.public.workspace import Workspace

        model = Model(_workspace or Workspace.from_config(), model_name, version=version)
        folder = Path("azureml-models", model.name, str(model.version))
        place = folder / model._block.file_name
        if place.exists() and scan(place).digest == model._block.digest:
            return str(place)
        return model.download(str(folder), exist_ok=True)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._block.name

    @property
    def version(self) -> int:
        """The version, counted from 1."""
        return self._block.version

    @property
    def id(self) -> str:
        """`<name>:<version>`."""
        return f"{self.name}:{self.version}"

    @property
    def description(self) -> str:
        """What it is."""
        return self._block.description

    @property
    def tags(self) -> dict[str, str]:
        """What it is marked with."""
        return dict(self._block.tags)

    @property
    def properties(self) -> dict[str, str]:
        """Facts about it, which are never changed."""
        return dict(self._block.properties)

    @property
    def created_time(self) -> datetime:
        """When it was registered, in UTC."""
        return datetime.fromtimestamp(self._block.created, UTC)

    @property
    def run_id(self) -> str | None:
        """The run that registered it; None if no run did."""
        return self._block.run_id or None

    @property
    def experiment_name(self) -> str | None:
        """The experiment of that run; None if no run registered it."""
        return self._block.experiment or None

    @property
    def model_framework(self) -> str | None:
        """What made it; None if that was not said."""
        return self._block.framework or None

    @property
    def model_framework_version(self) -> str | None:
        """The version of what made it; None if that was not said."""
        return self._block.framework_version or None

    @property
    def lineage(self) -> dict[str, str]:
        """Where it comes from: its run, step, inputs, datasets and framework, as far as they are known."""
        return models.lineage(self._block)

    @property
    def url(self) -> str:
        """An address that is this version's alone."""
        return f"stepwell://{self.workspace.name}/models/{self.name}/{self.version}"

    def download(self, target_dir: str | PurePath = ".", exist_ok: bool = False, exists_ok: bool | None = None) -> str:
        """Copy the model into a folder.

        Args:
            target_dir: The folder, made if it is not there.
            exist_ok: Whether a model that is there already is replaced.
            exists_ok: An older name of `exist_ok`.

        Returns:
            The path of the model's file or folder.

        Raises:
            WebserviceException: Something of that name is in the folder, or the model's bytes are gone or damaged.
        """
        place = Path(target_dir, self._block.file_name)
        if os.path.lexists(place):
            if not (exist_ok or exists_ok):
                raise ModelPathNotFoundException(
                    "Something stands where the model is to be copied",
                    {"path": place},
                    "Pass `exist_ok=True` to replace it.",
                )
            remove(place)
        store = self.workspace.store
        source = store.bring(self._block.digest)
        if not store.tree_intact(self._block.digest):
            raise ModelPathNotFoundException(
                "The model's bytes are gone or damaged", {"model": self.id}, "Register it again from its source."
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        copy_named(source, place, scan(source, store.digests.digest_file))
        return str(place)

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Mark the model; tags of the same names are replaced.

        Args:
            tags: Names and values.
        """
        self.update_tags_properties(add_tags=tags)

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Take marks off the model.

        Args:
            tags: Their names.
        """
        self.update_tags_properties(remove_tags=tags)

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Add facts about the model, for good.

        Args:
            properties: Names and values.

        Raises:
            UserErrorException: The model has a property of that name already.
        """
        self.update_tags_properties(add_properties=properties)

    def update_tags_properties(
        self,
        add_tags: Mapping[str, Any] | None = None,
        remove_tags: Iterable[str] | None = None,
        add_properties: Mapping[str, Any] | None = None,
        add_run_id: str | None = None,
    ) -> None:
        """Change tags, and add properties.

        Args:
            add_tags: Names and values of tags to add or replace.
            remove_tags: Names of tags to remove.
            add_properties: Names and values of properties to add.
            add_run_id: Accepted for v1's sake; not used.

        Raises:
            UserErrorException: The model has a property of that name already.
        """
        taken = sorted(set(add_properties or {}) & set(self._block.properties))
        if taken:
            raise UserErrorException(
                f"The model has a property {taken[0]!r} already", hint="Use a tag for what may change."
            )
        gone = set(remove_tags or ())
        self._block.tags = {k: v for k, v in self._block.tags.items() if k not in gone} | models.texts(add_tags)
        self._block.properties |= models.texts(add_properties)
        models.save(self._block)

    def update(
        self,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
    ) -> None:
        """Replace the tags or the description.

        Args:
            tags: All tags that the model has from now on; None to leave them.
            description: The new description; None to leave it.
            sample_input_dataset: Accepted for v1's sake; not used.
            sample_output_dataset: Accepted for v1's sake; not used.
            resource_configuration: Accepted for v1's sake; not used.
        """
        if tags is not None:
            self._block.tags = models.texts(tags)
        if description is not None:
            self._block.description = description
        models.save(self._block)

    def delete(self) -> None:
        """Forget this version. Its bytes go when the store is collected, unless something else needs them."""
        models.forget(self.workspace, self._block)

    def serialize(self) -> dict[str, Any]:
        """Return everything known of the model, ready for JSON.

        Returns:
            Names under which v1 has the facts, and their values.
        """
        return {
            "createdTime": self.created_time.isoformat(),
            "description": self.description,
            "experimentName": self.experiment_name,
            "framework": self.model_framework,
            "frameworkVersion": self.model_framework_version,
            "id": self.id,
            "inputs": dict(self._block.inputs),
            "name": self.name,
            "properties": self.properties,
            "runId": self.run_id,
            "step": self._block.step or None,
            "tags": self.tags,
            "url": self.url,
            "version": self.version,
        }

    def __repr__(self) -> str:
        return f"Model(workspace={self.workspace!r}, name={self.name}, id={self.id}, version={self.version}, tags={self.tags}, properties={self.properties})"
