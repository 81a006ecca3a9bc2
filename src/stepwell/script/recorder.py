"""What a script logs through its run, and may read back: metrics, images, files, tags and properties."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence

from stepwell.errors import UserErrorException
from stepwell.script.events import confined
from stepwell.script.metrics import KINDS, decoded, encoded, metrics_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from stepwell.script.log import FolderLog, ScreenLog
    from stepwell.script.metrics import Scope

    Source = str | os.PathLike[str] | IO[Any]


class Recorder:
    """A part of a log: what is logged for the step or for the pipeline run, under the names that begin with `prefix`."""

    def __init__(self, log: FolderLog | ScreenLog, scope: Scope = "step", prefix: str = "") -> None:
        self._log = log
        self._scope = scope
        self._prefix = prefix

    # Metrics --------------------------------------------------------------------------------------------------------

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """Logs one value; repeated under one name, the values become a list."""
        self._metric("scalar", name, value, description, step)

    def log_list(self, name: str, value: Iterable[Any], description: str = "") -> None:
        """Logs a list of values."""
        values = list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)) else value
        self._metric("list", name, values, description)

    def log_row(self, name: str, description: str | None = None, **kwargs: Any) -> None:
        """Logs one row of a table, a value per column."""
        self._metric("row", name, kwargs, description)

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Logs a table: columns to lists of values (a data frame will do)."""
        columns = value.to_dict("list") if hasattr(value, "to_dict") else value
        self._metric("table", name, columns, description)

    def log_confusion_matrix(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Logs a confusion matrix: a dictionary of v1's schema, or its JSON."""
        self._metric("confusion_matrix", name, _from_json(name, value), description)

    def log_accuracy_table(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Logs an accuracy table: a dictionary of v1's schema, or its JSON."""
        self._metric("accuracy_table", name, _from_json(name, value), description)

    def log_residuals(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Logs residuals: a dictionary of v1's schema, or its JSON."""
        self._metric("residuals", name, _from_json(name, value), description)

    def log_predictions(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Logs predictions: a dictionary of v1's schema, or its JSON."""
        self._metric("predictions", name, _from_json(name, value), description)

    def log_image(
        self, name: str, path: str | os.PathLike[str] | None = None, plot: Any = None, description: str = ""
    ) -> None:
        """Logs an image: a file, or what a figure (or `pyplot` itself) shows; repeated under one name, all are kept."""
        if (path is None) == (plot is None):
            raise UserErrorException(f"Image {name!r} needs one of path and plot", hint="Pass exactly one of them.")
        ending = ".png" if path is None else os.path.splitext(path)[1]
        source = _drawn(name, plot) if path is None else path
        kept = self._keep(_text("image", name).removesuffix(ending) + ending, source, again=True)
        self._emit("image", name, kept, description=description)

    def get_metrics(self, name: str | None = None, recursive: bool = False, **_: object) -> dict[str, Any]:
        """All metrics logged so far, or those of one name, in the shapes of `metrics_of`."""
        metrics = metrics_of(self._log.events(), self._scope)
        if self._scope == "parent":
            earlier = self._log.context.get("parent_metrics", {})
            metrics = {**{key: decoded(value) for key, value in earlier.items()}, **metrics}
        return {key: value for key, value in self._own(metrics).items() if name is None or key == name}

    # Files ----------------------------------------------------------------------------------------------------------

    def upload_file(self, name: str, path_or_stream: Source, datastore_name: str | None = None) -> None:
        """Keeps a copy of a file, or the rest of a stream, with the run; one name can be used once."""
        self._emit("file", name, self._keep(name, path_or_stream))

    def upload_files(
        self, names: Sequence[str], paths: Sequence[Source], datastore_name: str | None = None, **_: object
    ) -> None:
        """Keeps a copy of each file under the name at its place."""
        if len(names) != len(paths):
            raise UserErrorException("As many names as paths are needed", {"names": len(names), "paths": len(paths)})
        for name, path in zip(names, paths, strict=True):
            self.upload_file(name, path)

    def upload_folder(self, name: str, path: str | os.PathLike[str], datastore_name: str | None = None) -> None:
        """Keeps a copy of every file below a folder, as `<name>/<path below it>`."""
        if not os.path.isdir(path):
            raise UserErrorException("There is no such folder to upload", {"name": name, "path": path})
        for folder, children, files in os.walk(path):
            children.sort()
            below = os.path.relpath(folder, path)
            for file in sorted(files):
                self.upload_file(os.path.normpath(os.path.join(name, below, file)), os.path.join(folder, file))

    def get_file_names(self) -> list[str]:
        """Names of the files and images kept by this run so far."""
        events = self._log.events()
        kept = {e["value"]: None for e in events if e["type"] in ("file", "image") and e["scope"] == self._scope}
        return sorted(self._own(kept))

    def download_file(self, name: str, output_file_path: str | os.PathLike[str] | None = None, **_: object) -> None:
        """Copies a kept file to a path or into a folder; default: here, under its last name."""
        from shutil import copyfile

        if confined(name) not in self.get_file_names():
            raise UserErrorException(
                "The run has no such file", {"name": name, "files": ", ".join(self.get_file_names()) or "none"}
            )
        target = os.fspath(output_file_path or os.path.basename(name))
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(name))
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        copyfile(self._log.place(self._scope, self._prefix + confined(name)), target)

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: Sequence[str] | None = None,
        *,
        append_prefix: bool = True,
        **_: object,
    ) -> None:
        """Copies the kept files whose names begin with `prefix` into a folder, by default this one."""
        names = [name for name in self.get_file_names() if name.startswith(prefix or "")]
        if output_paths is not None and len(output_paths) != len(names):
            raise UserErrorException("As many paths as files are needed", {"files": names, "paths": len(output_paths)})
        cut = 0 if append_prefix else len(prefix or "")
        for name, path in zip(names, output_paths or [name[cut:].lstrip("/") for name in names], strict=True):
            self.download_file(name, os.path.join(output_directory or ".", path))

    # Tags and properties --------------------------------------------------------------------------------------------

    def tag(self, key: str, value: Any = None) -> None:
        """Sets a tag, as text."""
        self._emit("tag", key, None if value is None else str(value))

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets several tags."""
        for key, value in tags.items():
            self.tag(key, value)

    def get_tags(self) -> dict[str, Any]:
        """All tags, by key."""
        return self._settings("tag", "tags")

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Adds properties, as text; one that is set can't be changed."""
        known = self.get_properties()
        for key, value in properties.items():
            if known.get(key, str(value)) != str(value):
                raise UserErrorException(
                    f"Property {key!r} is set and can't be changed",
                    {"is": known[key], "asked for": value},
                    "Use a tag for what changes.",
                )
            if key not in known:
                self._emit("property", key, str(value))

    def get_properties(self) -> dict[str, Any]:
        """All properties, by key."""
        return self._settings("property", "properties")

    # Writing and reading events -------------------------------------------------------------------------------------

    def _metric(self, kind: str, name: str, value: Any, description: str | None = "", step: int | None = None) -> None:
        plain = encoded(value, _text("metric", name))
        if not isinstance(plain, KINDS[kind]):
            wanted = "a list" if KINDS[kind] is list else "a dictionary of columns"
            raise UserErrorException(f"Metric {name!r} must be {wanted}", {"found": type(value).__name__})
        more = {"step": encoded(step, name)} if step is not None else {}
        self._emit("metric", name, plain, description=description, kind=kind, **more)

    def _emit(self, type_: str, name: str, value: Any, *, description: str | None = "", **more: Any) -> None:
        if description:
            more["description"] = str(description)
        self._append({"type": type_, "name": self._prefix + _text(type_, name), "value": value, **more})

    def _append(self, event: dict[str, Any]) -> None:
        self._log.append({**event, "scope": self._scope, "time": time.time()})

    def _keep(self, name: str, source: Source, again: bool = False) -> str:
        """The name of a new kept file, which holds what is left of a stream or what is in a file."""
        whole = self._prefix + confined(name)
        if not isinstance(source, (str, os.PathLike)) and hasattr(source, "read"):
            return self._log.keep(self._scope, whole, source, again)
        if not isinstance(source, (str, os.PathLike)) or not os.path.isfile(source):
            raise UserErrorException("There is no such file to upload", {"name": name, "path": source})
        with open(source, "rb") as stream:
            return self._log.keep(self._scope, whole, stream, again)

    def _own(self, named: Mapping[str, Any]) -> dict[str, Any]:
        length = len(self._prefix)
        return {name[length:]: value for name, value in named.items() if name.startswith(self._prefix)}

    def _settings(self, type_: str, start: str) -> dict[str, Any]:
        events = self._log.events()
        logged = {e["name"]: e["value"] for e in events if e["type"] == type_ and e["scope"] == self._scope}
        given = {} if self._prefix else self._log.context.get(start if self._scope == "step" else f"parent_{start}", {})
        return {**given, **self._own(logged)}


def _from_json(name: str, value: Mapping[str, Any] | str) -> Any:
    if not isinstance(value, str):
        return value
    from json import loads

    try:
        return loads(value)
    except ValueError as error:
        raise UserErrorException(f"Metric {name!r} isn't valid JSON", {"because": error}) from error


def _text(what: str, name: object) -> str:
    if not isinstance(name, str) or not name:
        raise UserErrorException(f"The name of a {what} must be text that isn't empty", {"found": repr(name)})
    return name


def _drawn(name: str, plot: Any) -> IO[bytes]:
    if not hasattr(plot, "savefig"):
        raise UserErrorException(f"Plot {name!r} can't be saved", {"found": type(plot).__name__}, "Pass a figure.")
    from io import BytesIO

    drawn = BytesIO()
    plot.savefig(drawn, format="png")
    drawn.seek(0)
    return drawn
