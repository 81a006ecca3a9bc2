"""`Model` as a script of a step has it: registered models, found, copied and registered through the host."""

from __future__ import annotations

import os

from stepwell.errors import ModelNotFoundException, ModelPathNotFoundException, UserErrorException
from stepwell.script import channel
from stepwell.script.workspace.public_names import Narrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

_DIRECTORY = "AZUREML_MODEL_DIR"
_REFUSED = ("deploy", "package", "profile", "get_sas_urls", "update_resource_configuration")


class _Refusing(type):
    """Serving is no business of pipelines."""

    def __getattr__(cls, name: str) -> Any:
        if name in _REFUSED:
            raise UserErrorException(
                f"Model.{name} is not carried by Stepwell",
                hint="Serve models outside of Stepwell, which runs pipelines.",
            )
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")


class Model(Narrow, metaclass=_Refusing):
    """A version of a registered model: the latest that fits what is asked for."""

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
        workspace: Any,
        name: str | None = None,
        id: str | None = None,
        tags: Sequence[Any] | Mapping[str, Any] | None = None,
        properties: Sequence[Any] | Mapping[str, Any] | None = None,
        version: int | str | None = None,
        run_id: str | None = None,
        model_framework: str | None = None,
        expand: bool = True,
        **_: object,
    ) -> None:
        asked = _asked(name=name, id=id, tags=_marks(tags), properties=_marks(properties), version=version)
        found = channel.ask("model.find", **asked, **_asked(run_id=run_id, framework=model_framework))["models"]
        if not found:
            raise ModelNotFoundException(
                "ModelNotFound: there is no such model in the workspace",
                {"workspace": getattr(workspace, "name", ""), **asked},
                "List the models with `Model.list(workspace)`.",
            )
        self._workspace = workspace
        self._facts: dict[str, Any] = found[0]

    @classmethod
    def _of(cls, workspace: Any, facts: dict[str, Any]) -> Model:
        made = cls.__new__(cls)
        made._workspace, made._facts = workspace, facts  # noqa: SLF001  (its own)
        return made

    @classmethod
    def register(
        cls,
        workspace: Any,
        model_path: str | os.PathLike[str],
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
    ) -> Model:
        """Keep a file or folder as the next version of a model; its run and inputs stand in the record."""
        if not os.path.exists(model_path):
            raise ModelPathNotFoundException(
                "There is nothing where the model should be", {"path": model_path}, "Write it before it is registered."
            )
        more = _asked(
            tags=_texts(tags),
            properties=_texts(properties),
            description=description,
            framework=model_framework,
            framework_version=model_framework_version,
            child_paths=None if child_paths is None else [str(child) for child in child_paths],
        )
        facts = channel.send("model.register", os.path.abspath(model_path), name=model_name, **more)
        print(f"Registering model {model_name}")
        return cls._of(workspace, facts)

    @classmethod
    def list(
        cls,
        workspace: Any,
        name: str | None = None,
        tags: Sequence[Any] | Mapping[str, Any] | None = None,
        properties: Sequence[Any] | Mapping[str, Any] | None = None,
        run_id: str | None = None,
        latest: bool = False,
        dataset_id: str | None = None,
        expand: bool = True,
        page_count: int = 255,
        model_framework: str | None = None,
    ) -> list[Model]:
        """Return the models that fit, the latest first; with `latest` one of each name."""
        asked = _asked(
            name=name, tags=_marks(tags), properties=_marks(properties), run_id=run_id, framework=model_framework
        )
        found = channel.ask("model.find", all=True, **asked)["models"]
        if latest:
            found = [*{facts["name"]: facts for facts in reversed(found)}.values()][::-1]
        return [cls._of(workspace, facts) for facts in found]

    @staticmethod
    def get_model_path(model_name: str, version: int | str | None = None, _workspace: Any = None) -> str:
        """Return the path of a model: of AZUREML_MODEL_DIR, else below `azureml-models/<name>/<version>/`."""
        known = _in_directory(os.environ.get(_DIRECTORY, ""), model_name, version)
        if known:
            return known
        model = Model(_workspace, model_name, version=version)
        folder = os.path.join("azureml-models", model.name, str(model.version))
        place = os.path.join(folder, model._facts["file_name"])
        if not os.path.lexists(place):
            source = model._received()
            os.makedirs(folder, exist_ok=True)
            os.symlink(source, place)
        return place

    @property
    def workspace(self) -> Any:
        """The workspace that knows it."""
        import stepwell

        return self._workspace or stepwell.Workspace.from_config()

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self._facts["name"])

    @property
    def version(self) -> int:
        """The version, counted from 1."""
        return int(self._facts["version"])

    @property
    def id(self) -> str:
        """`<name>:<version>`."""
        return f"{self.name}:{self.version}"

    @property
    def description(self) -> str:
        """What it is."""
        return str(self._facts.get("description") or "")

    @property
    def tags(self) -> dict[str, str]:
        """What it is marked with."""
        return dict(self._facts.get("tags") or {})

    @property
    def properties(self) -> dict[str, str]:
        """Facts about it, which are never changed."""
        return dict(self._facts.get("properties") or {})

    @property
    def created_time(self) -> datetime:
        """When it was registered, in UTC."""
        from datetime import datetime, timezone

        return datetime.fromtimestamp(float(self._facts.get("created") or 0), timezone.utc)  # noqa: UP017  (old Pythons)

    @property
    def run_id(self) -> str | None:
        """The run that registered it."""
        return self._facts.get("run_id") or None

    @property
    def experiment_name(self) -> str | None:
        """The experiment of that run."""
        return self._facts.get("experiment") or None

    @property
    def model_framework(self) -> str | None:
        """What made it."""
        return self._facts.get("framework") or None

    @property
    def model_framework_version(self) -> str | None:
        """The version of what made it."""
        return self._facts.get("framework_version") or None

    @property
    def url(self) -> str:
        """An address that is this version's alone."""
        return f"stepwell://{getattr(self.workspace, 'name', '')}/models/{self.name}/{self.version}"

    def download(
        self, target_dir: str | os.PathLike[str] = ".", exist_ok: bool = False, exists_ok: bool | None = None
    ) -> str:
        """Copy the model into a folder, and return the path of its file or folder there."""
        import shutil

        place = os.path.join(target_dir, self._facts["file_name"])
        if os.path.lexists(place):
            if not (exist_ok or exists_ok):
                raise ModelPathNotFoundException(
                    "Something stands where the model is to be copied",
                    {"path": place},
                    "Pass `exist_ok=True` to replace it.",
                )
            (shutil.rmtree if os.path.isdir(place) and not os.path.islink(place) else os.unlink)(place)
        source = self._received()
        os.makedirs(target_dir, exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, place)
        else:
            shutil.copyfile(source, place)
        return place

    def _received(self) -> str:
        return channel.receive("model.files", name=self.name, version=self.version)

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Mark the model; tags of the same names are replaced."""
        self._change(add_tags=_texts(tags))

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Take marks off the model."""
        self._change(remove_tags=[*tags])

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Add facts about the model, for good."""
        self._change(add_properties=_texts(properties))

    def update_tags_properties(
        self,
        add_tags: Mapping[str, Any] | None = None,
        remove_tags: Iterable[str] | None = None,
        add_properties: Mapping[str, Any] | None = None,
        add_run_id: str | None = None,
    ) -> None:
        """Change tags, and add properties."""
        removed = None if remove_tags is None else [*remove_tags]
        self._change(add_tags=_texts(add_tags), remove_tags=removed, add_properties=_texts(add_properties))

    def update(
        self,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
    ) -> None:
        """Replace all tags, or the description."""
        self._change(tags=_texts(tags), description=description)

    def add_dataset_references(self, datasets: Any) -> None:
        """Do nothing: the inputs of the step that registered the model stand in its record."""

    def delete(self) -> None:
        """Remove this version from the workspace."""
        channel.ask("model.delete", name=self.name, version=self.version)

    def serialize(self) -> dict[str, Any]:
        """Return what is known of it, under v1's names."""
        return {
            "name": self.name,
            "version": self.version,
            "id": self.id,
            "description": self.description,
            "tags": self.tags,
            "properties": self.properties,
            "createdTime": str(self.created_time),
            "runId": self.run_id,
            "framework": self.model_framework,
            "frameworkVersion": self.model_framework_version,
        }

    def _change(self, **asked: Any) -> None:
        self._facts = channel.ask("model.update", name=self.name, version=self.version, **_asked(**asked))

    def __repr__(self) -> str:
        return (
            f"Model(workspace={self.workspace!r}, name={self.name}, id={self.id}, version={self.version}, "
            f"tags={self.tags}, properties={self.properties})"
        )


def _asked(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that were given."""
    return {name: value for name, value in arguments.items() if value is not None}


def _marks(marks: Sequence[Any] | Mapping[str, Any] | None) -> list[Any] | None:
    if marks is None:
        return None
    if hasattr(marks, "items"):
        return [[str(name), str(value)] for name, value in marks.items()]
    alone = [marks] if isinstance(marks, str) else marks
    return [mark if isinstance(mark, str) else [str(part) for part in mark] for mark in alone]


def _texts(marks: Mapping[str, Any] | None) -> dict[str, str] | None:
    return None if marks is None else {str(name): str(value) for name, value in marks.items()}


def _in_directory(directory: str, name: str, version: int | str | None) -> str:
    """Return the path of a model in the directory of models that scoring scripts are given; '' if it is not there.

    It holds models as `<name>/<version>/…`, or is the folder of a version itself.
    """
    if not directory:
        return ""
    parts = os.path.normpath(directory).split(os.sep)
    if parts[-2:-1] == [name] and version in (None, parts[-1]):
        return _content(directory)
    versions = os.path.join(directory, name)
    if not os.path.isdir(versions):
        return versions if version is None and os.path.exists(versions) else ""
    numbers = sorted((int(entry), entry) for entry in os.listdir(versions) if entry.isdecimal())
    wanted = str(version) if version is not None else numbers[-1][1] if numbers else ""
    place = os.path.join(versions, wanted)
    return _content(place) if wanted and os.path.isdir(place) else "" if version is not None else versions


def _content(folder: str) -> str:
    inside = os.listdir(folder)
    return os.path.join(folder, inside[0]) if len(inside) == 1 else folder
