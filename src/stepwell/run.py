"""The script's side of a run: `Run.get_context()` logs metrics, tags and files inside a step, or shows them outside.

A step finds a folder in STEPWELL_CONTROL. There, each thing logged is one line of JSON, appended to `events.jsonl` by
one write, and files stand under `files/` (those of the pipeline run under `parent_files/`). `context.json`, if there,
says what the script may ask for. The host reads that back with `read_events`, `metrics_of` and `files_of`, and trusts
none of it.

An event is {"type", "scope", "name", "value", "time"}, with "kind" for metrics and "step" and "description" if given:

    type      metric, image, tag, property, file or failed
    scope     step, or parent for the pipeline run
    name      of the metric, tag, property or file, after `<child>/` for a child run; of `failed` the child, or ""
    kind      scalar, list, row, table, confusion_matrix, accuracy_table, residuals or predictions
    value     see below; of image and file the path of the kept file below its folder

JSON has no NaN: `encoded` writes {"$float": "NaN"}, "Infinity" or "-Infinity", and puts one more `$` before keys that
begin with `$`; `decoded` turns that back. Events stay encoded, so they can be kept in any JSON; `metrics_of` decodes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from stepwell.errors import RunEnvironmentException, UserErrorException

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO, Any, Literal, Self

    Scope = Literal["step", "parent"]
    Fill = Callable[[IO[bytes]], object]

_FOLDERS = {"step": "files", "parent": "parent_files"}
_SHAPES: dict[str, type] = {"row": dict, "table": dict, "list": list}
_KINDS = {"scalar", "confusion_matrix", "accuracy_table", "residuals", "predictions", *_SHAPES}
_LONGEST_LINE = 64 << 20
_CHUNK = 1 << 20


class Run:
    """The run that a script is part of, or its `parent`, the pipeline run, or a `child_run` of it."""

    def __init__(
        self, control: str, run_id: str, scope: Scope = "step", prefix: str = "", above: Run | None = None
    ) -> None:
        self._control = control
        self._id = run_id
        self._scope = scope
        self._prefix = prefix
        self._above = above
        self._children = 0
        self._known: dict[str, Any] | None = None

    @classmethod
    def get_context(cls, allow_offline: bool = True, **_: object) -> Run:
        """The run of the step that this process belongs to; outside of one, a run that shows what is logged."""
        run_id, control = os.environ.get("AZUREML_RUN_ID"), os.environ.get("STEPWELL_CONTROL")
        if run_id and control:
            return Run(control, run_id)
        if not allow_offline:
            raise RunEnvironmentException(
                "This script doesn't run inside a step",
                {"missing": "AZUREML_RUN_ID and STEPWELL_CONTROL in the environment"},
                "Start it as a step of a pipeline, or call Run.get_context(allow_offline=True).",
            )
        return _OfflineRun.new()

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The run's id; outside of a run it begins with `OfflineRun_`."""
        return self._id

    @property
    def name(self) -> str:
        """The step's name, or the child's."""
        if self._prefix:
            return self._prefix.rstrip("/").rpartition("/")[2]
        return str(self._context.get("name" if self._scope == "step" else "parent_name", self._id))

    display_name = name

    @property
    def number(self) -> int:
        """The number of the run in its experiment, 0 if unknown."""
        return int(self._context.get("number") or 0)

    @property
    def type(self) -> str:
        """`azureml.StepRun`, `azureml.PipelineRun` or `azureml.scriptrun`, as in v1."""
        if self._prefix:
            return "azureml.scriptrun"
        return "azureml.StepRun" if self._scope == "step" else "azureml.PipelineRun"

    @property
    def status(self) -> str:
        """`Running`: the script that asks does."""
        return "Running"

    @property
    def experiment(self) -> _Experiment:
        """The experiment, by name."""
        return _Experiment(str(self._context.get("experiment", "")))

    @property
    def parent(self) -> Run | None:
        """The pipeline run of a step, the maker of a child; None above that."""
        if self._above is not None or self._scope == "parent":
            return self._above
        run_id = self._context.get("parent_id") or os.environ.get("AZUREML_ROOT_RUN_ID", "")
        return type(self)(self._control, str(run_id), "parent")

    @property
    def input_datasets(self) -> dict[str, str]:
        """Names of inputs to their local paths."""
        return dict(self._context.get("input_datasets", {}))

    @property
    def output_datasets(self) -> dict[str, str]:
        """Names of outputs to their local paths."""
        return dict(self._context.get("output_datasets", {}))

    def get_status(self) -> str:
        """The status."""
        return self.status

    def get_details(self) -> dict[str, Any]:
        """The id, status, properties and datasets, under v1's names."""
        return {
            "runId": self.id,
            "target": self._context.get("target", "local"),
            "status": self.status,
            "properties": self.get_properties(),
            "inputDatasets": self.input_datasets,
            "outputDatasets": self.output_datasets,
            "logFiles": {},
        }

    def __repr__(self) -> str:
        return f"Run(Experiment: {self.experiment.name}, Id: {self.id}, Type: {self.type}, Status: {self.status})"

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
        ending = ".png" if path is None else os.path.splitext(os.fspath(path))[1]
        stem = _text("image", name).removesuffix(ending)
        kept = self._prefix + self._keep(_numbered(stem, ending), _filler(name, path, plot), repeat=True)
        self._emit("image", name, kept, description=description)

    def get_metrics(self, name: str | None = None, recursive: bool = False, **_: object) -> dict[str, Any]:
        """All metrics logged so far, or those of one name, in the shapes of `metrics_of`."""
        metrics = metrics_of(self._history(), self._scope)
        if self._scope == "parent":
            earlier = self._context.get("parent_metrics", {})
            metrics = {**{key: decoded(value) for key, value in earlier.items()}, **metrics}
        return {key: value for key, value in self._own(metrics).items() if name is None or key == name}

    # Files ----------------------------------------------------------------------------------------------------------

    def upload_file(
        self, name: str, path_or_stream: str | os.PathLike[str] | IO[Any], datastore_name: str | None = None
    ) -> None:
        """Keeps a copy of a file, or the rest of a stream, with the run; one name can be used once."""
        self._emit("file", name, self._prefix + self._keep([name], _filler(name, path_or_stream)))

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[str | os.PathLike[str]],
        datastore_name: str | None = None,
        **_: object,
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
        events = self._history()
        kept = {e["value"]: None for e in events if e["type"] in ("file", "image") and e["scope"] == self._scope}
        return sorted(self._own(kept))

    def download_file(self, name: str, output_file_path: str | os.PathLike[str] | None = None, **_: object) -> None:
        """Copies a kept file to a path or into a folder; default: here, under its last name."""
        target = os.fspath(output_file_path or os.path.basename(name))
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(name))
        if _confined(name) not in self.get_file_names():
            raise UserErrorException(
                "The run has no such file", {"name": name, "files": ", ".join(self.get_file_names()) or "none"}
            )
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        with open(self._place(name), "rb") as source, open(target, "wb") as copy:
            _copy(source, copy)

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: Sequence[str] | None = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: float | None = None,
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

    # Ending, children, secrets --------------------------------------------------------------------------------------

    def complete(self, **_: object) -> None:
        """Does nothing: a step is complete when its script ends with code 0."""

    def flush(self, timeout_seconds: float = 300) -> None:
        """Does nothing: what is logged is written at once."""

    def fail(self, error_details: object = None, error_code: str | None = None, **_: object) -> None:
        """Records a failure: the step fails when its script ends, whatever its exit code."""
        said = [str(part) for part in (error_code, error_details) if part is not None]
        self._append({"type": "failed", "name": self._prefix.rstrip("/"), "value": ": ".join(said)})

    def cancel(self) -> None:
        """Never works from inside a step."""
        raise UserErrorException(
            "A script can't cancel the run that it is part of",
            {"run": self.id},
            "End the script with an exception or sys.exit(1) to fail the step and stop what depends on it.",
        )

    def child_run(self, name: str | None = None, run_id: str | None = None, outputs: object = None) -> Run:
        """A run whose metrics, tags and files are kept with this one's, under `<name>/`."""
        self._children += name is None
        child = name or f"child_{self._children}"
        prefix = f"{self._prefix}{_confined(child)}/"
        return type(self)(self._control, run_id or f"{self._id}_{child}", self._scope, prefix, above=self)

    def get_secret(self, name: str) -> str:
        """The value of the environment variable of that name, as it is or as MY_NAME for `my-name`."""
        variable = "".join(mark if mark.isalnum() else "_" for mark in name).upper()
        value = os.environ.get(name, os.environ.get(variable))
        if value is None:
            raise UserErrorException(
                f"There is no secret {name!r}",
                {"looked for": f"{name}, {variable}"},
                "Set it in the step's environment.",
            )
        return value

    def get_secrets(self, secrets: Iterable[str]) -> dict[str, str]:
        """Names to their values."""
        return {name: self.get_secret(name) for name in secrets}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.fail(f"{type(error).__name__}: {error}")

    # Writing and reading events -------------------------------------------------------------------------------------

    def _metric(self, kind: str, name: str, value: Any, description: str | None = "", step: int | None = None) -> None:
        plain = encoded(value, _text("metric", name))
        if not isinstance(plain, _SHAPES.get(kind, object)):
            wanted = "a dictionary of columns" if _SHAPES[kind] is dict else "a list"
            raise UserErrorException(f"Metric {name!r} must be {wanted}", {"found": type(value).__name__})
        more = {"step": encoded(step, name)} if step is not None else {}
        self._emit("metric", name, plain, description=description, kind=kind, **more)

    def _emit(self, type_: str, name: str, value: Any, *, description: str | None = "", **more: Any) -> None:
        event = {"type": type_, "name": self._prefix + _text(type_, name), **more, "value": value}
        self._append(event | ({"description": str(description)} if description else {}))

    def _append(self, event: dict[str, Any]) -> None:
        from json import dumps

        text = dumps({"scope": self._scope, **event, "time": time.time()}, allow_nan=False)
        line = f"\n{text}\n".encode("ascii")  # begins with a line break, lest a torn line before it takes it along
        if len(line) > _LONGEST_LINE:
            raise UserErrorException(
                f"{event['name']!r} is too large to log", {"bytes": len(line), "limit": _LONGEST_LINE}
            )
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(os.path.join(self._control, "events.jsonl"), flags, 0o666)
        try:
            while line:
                line = line[os.write(descriptor, line) :]
        finally:
            os.close(descriptor)

    def _history(self) -> list[dict[str, Any]]:
        return read_events(self._control)

    @property
    def _context(self) -> dict[str, Any]:
        if self._known is None:
            from json import load

            try:
                with open(os.path.join(self._control, "context.json"), encoding="utf-8") as stream:
                    self._known = dict(load(stream))
            except FileNotFoundError:
                self._known = {}
        return self._known

    def _own(self, named: Mapping[str, Any]) -> dict[str, Any]:
        length = len(self._prefix)
        return {name[length:]: value for name, value in named.items() if name.startswith(self._prefix)}

    def _settings(self, type_: str, start: str) -> dict[str, Any]:
        logged = {e["name"]: e["value"] for e in self._history() if e["type"] == type_ and e["scope"] == self._scope}
        given = {} if self._prefix else self._context.get(start if self._scope == "step" else f"parent_{start}", {})
        return {**given, **self._own(logged)}

    # Keeping files --------------------------------------------------------------------------------------------------

    def _place(self, name: str) -> str:
        return os.path.join(self._control, _FOLDERS[self._scope], self._prefix + _confined(name))

    def _keep(self, names: Iterable[str], fill: Fill, repeat: bool = False) -> str:
        """The name that a new file was written under: the first of `names` that is free, or just the first."""
        for name in names:
            place = self._place(name)
            try:
                os.makedirs(os.path.dirname(place), exist_ok=True)
                stream = open(place, "xb")  # noqa: SIM115  (closed by _fill)
            except FileExistsError as error:
                if repeat and os.path.isfile(place):
                    continue
                raise _taken(name) from error
            except NotADirectoryError as error:
                raise _taken(name) from error
            _fill(stream, fill, place)
            return _confined(name)
        raise AssertionError("there is always a next name")


class _OfflineRun(Run):
    """A run of a script by hand: shows what is logged, remembers it while the process lives, and keeps no files."""

    @classmethod
    def new(cls) -> _OfflineRun:
        """A run with a fresh id."""
        from uuid import uuid4

        return cls("", f"OfflineRun_{uuid4()}")

    def __init__(
        self, control: str, run_id: str, scope: Scope = "step", prefix: str = "", above: Run | None = None
    ) -> None:
        super().__init__(control, run_id, scope, prefix, above)
        self._known = {"experiment": "offline"}
        self._events: list[dict[str, Any]] = above._events if isinstance(above, _OfflineRun) else []
        self._top: Run | None = None

    @property
    def parent(self) -> Run | None:
        """Another offline run, or the maker of a child; None above that."""
        if self._above is not None or self._scope == "parent":
            return self._above
        if self._top is None:
            self._top = _OfflineRun("", f"{self._id}_parent", "parent")
        return self._top

    def _append(self, event: dict[str, Any]) -> None:
        kind = event.get("kind", event["type"])
        if event["type"] in ("metric", "image"):
            print(f"Attempted to log {kind} metric {event['name']}:\n{decoded(event['value'])}")
        elif event["type"] in ("file", "failed"):
            print(f"Attempted to {'upload file' if kind == 'file' else 'record a failure'}: {event['value']}")
        self._events.append({"scope": self._scope, **event, "time": time.time()})

    def _history(self) -> list[dict[str, Any]]:
        return self._events

    def get_file_names(self) -> list[str]:
        """No names: nothing is kept."""
        return []

    def _keep(self, names: Iterable[str], fill: Fill, repeat: bool = False) -> str:
        name = _confined(next(iter(names)))
        with open(os.devnull, "wb") as nowhere:
            fill(nowhere)
        return name


class _Experiment:
    """The experiment of a run, as far as a script may know it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def workspace(self) -> Any:
        """Never there: a result must depend on nothing but what its step declares."""
        raise UserErrorException(
            "A script has no workspace",
            {"experiment": self.name},
            "Declare data as inputs and outputs of the step, and read secrets with Run.get_secret.",
        )


# Values -------------------------------------------------------------------------------------------------------------


def encoded(value: Any, name: str = "value") -> Any:
    """`value` in plain JSON values, NaN and infinities included; what can't be so raises UserErrorException."""
    try:
        return _plain(value)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, AttributeError) as error:
        raise UserErrorException(
            f"Metric {name!r} can't be logged",
            {
                "found": f"{type(value).__module__}.{type(value).__qualname__}",
                "because": str(error) or "it can't be read",
            },
            "Log numbers, text, or lists and dictionaries of them; upload other things as files.",
        ) from error


def decoded(value: Any) -> Any:
    """The value that `encoded` wrote, with its floats; never raises."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["$float"] and value["$float"] in ("NaN", "Infinity", "-Infinity"):
        return float(value["$float"])
    return {key.removeprefix("$"): decoded(item) for key, item in value.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        str(int(value))  # fails here, not in the reader, beyond Python's limit of digits
        return int(value)
    if isinstance(value, float):
        return _plain_float(float(value))
    if isinstance(value, Mapping):
        return {("$" + str(key) if str(key).startswith("$") else str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(item) for item in value]
    return _plain_foreign(value)


def _plain_float(value: float) -> Any:
    if value - value == 0:
        return value
    return {"$float": "Infinity" if value > 0 else "-Infinity" if value < 0 else "NaN"}


def _plain_foreign(value: Any) -> Any:
    """What numbers, arrays and dates of other libraries stand for, without importing these."""
    for method in ("tolist", "item", "numpy"):
        if hasattr(value, method):
            own = getattr(value, method)()
            if type(own) is not type(value):
                return _plain(own)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if hasattr(value, "__float__"):
        return _plain_float(float(value))
    raise TypeError(f"an object of type {type(value).__name__} is neither number nor text")


def _from_json(name: str, value: Mapping[str, Any] | str) -> Any:
    if not isinstance(value, str):
        return value
    from json import loads

    try:
        return loads(value)
    except ValueError as error:
        raise UserErrorException(f"Metric {name!r} isn't valid JSON", {"because": error}) from error


# Files --------------------------------------------------------------------------------------------------------------


def _text(what: str, name: object) -> str:
    if not isinstance(name, str) or not name:
        raise UserErrorException(f"The name of a {what} must be text that isn't empty", {"found": repr(name)})
    return name


def _confined(name: str) -> str:
    path = os.path.normpath(_text("file", name))
    if os.path.isabs(path) or path.split("/")[0] in ("..", ".") or "\0" in path:
        raise UserErrorException(
            "The name of a file must be a path below the run's folder",
            {"name": repr(name)},
            "Use a relative name without `..`, such as outputs/model.pkl.",
        )
    return path


def _taken(name: str) -> UserErrorException:
    return UserErrorException(
        f"The run has a file {name!r} already", hint="Use another name: kept files are never changed."
    )


def _numbered(stem: str, ending: str) -> Iterator[str]:
    yield stem + ending
    number = 0
    while True:
        number += 1
        yield f"{stem}_{number}{ending}"


def _filler(name: str, path_or_stream: Any, plot: Any = None) -> Fill:
    if plot is not None:
        if not hasattr(plot, "savefig"):
            raise UserErrorException(f"Plot {name!r} can't be saved", {"found": type(plot).__name__}, "Pass a figure.")
        return lambda stream: plot.savefig(stream, format="png")
    if hasattr(path_or_stream, "read"):
        return lambda stream: _copy(path_or_stream, stream)
    if not isinstance(path_or_stream, (str, os.PathLike)) or not os.path.isfile(path_or_stream):
        raise UserErrorException("There is no such file to upload", {"name": name, "path": path_or_stream})

    def fill(stream: IO[bytes]) -> None:
        with open(path_or_stream, "rb") as source:
            _copy(source, stream)

    return fill


def _fill(stream: IO[bytes], fill: Fill, place: str) -> None:
    try:
        with stream:
            fill(stream)
    except BaseException:
        os.unlink(place)
        raise


def _copy(source: IO[Any], target: IO[bytes]) -> None:
    while chunk := source.read(_CHUNK):
        target.write(chunk.encode() if isinstance(chunk, str) else chunk)


# The host's side ----------------------------------------------------------------------------------------------------


def read_events(control: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The events logged in a control folder, oldest first, still encoded; torn lines and garbage are left out."""
    from json import dumps, loads

    def whole(text: str) -> float:
        number = float(text)
        if number - number != 0:
            raise ValueError("not a number that JSON can hold")
        return number

    events = []
    for line in _lines(os.path.join(control, "events.jsonl")):
        try:
            event = loads(line.decode("utf-8", "replace"), parse_float=whole, parse_constant=whole)
            if b"\\u" in line:  # half of a pair of surrogates can't be written as UTF-8 later on
                event = loads(dumps(event, ensure_ascii=False).encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            continue
        if _is_event(event):
            events.append({key: event[key] for key in _FIELDS if key in event})
    return events


_FIELDS = ("type", "scope", "name", "kind", "value", "step", "description", "time")


def _is_event(event: Any) -> bool:
    if not isinstance(event, dict) or event.get("scope") not in ("step", "parent"):
        return False
    name, value, kind = event.get("name"), event.get("value"), event.get("kind")
    if not isinstance(name, str) or "value" not in event or type(event.get("time")) not in (int, float):
        return False
    if not isinstance(event.get("description", ""), str) or type(event.get("step", 0)) not in (int, float):
        return False
    match event.get("type"):
        case "metric":
            return isinstance(kind, str) and kind in _KINDS and isinstance(value, _SHAPES.get(kind, object))
        case "image" | "file":
            return isinstance(value, str) and _is_confined(value)
        case "tag":
            return value is None or isinstance(value, str)
        case "property" | "failed":
            return isinstance(value, str)
    return False


def _is_confined(name: str) -> bool:
    try:
        return _confined(name) == name
    except UserErrorException:
        return False


def _lines(path: str) -> Iterator[bytes]:
    """The lines of a regular file, the longest in pieces; none if it is missing, a link, or would block."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    with open(descriptor, "rb") as stream:
        if os.fstat(descriptor).st_mode & 0o170000 == 0o100000:
            yield from iter(lambda: stream.readline(_LONGEST_LINE), b"")


def metrics_of(events: Iterable[Mapping[str, Any]], scope: Scope = "step") -> dict[str, Any]:
    """Metrics by name, decoded, in v1's shapes.

    Repeated values make a list, lists are joined, rows and tables become columns (None where a row lacks one), an image
    is the path of its file. Of a name used for several kinds, the last kind counts.
    """
    found: dict[str, tuple[str, list[Any]]] = {}
    for event in events:
        if event["scope"] == scope and event["type"] in ("metric", "image"):
            kind = event.get("kind", "image")
            if found.get(event["name"], ("", []))[0] != kind:
                found[event["name"]] = (kind, [])
            found[event["name"]][1].append(decoded(event["value"]))
    return {name: _shaped(kind, values) for name, (kind, values) in found.items()}


def _shaped(kind: str, values: list[Any]) -> Any:
    if kind == "row":
        return {column: [row.get(column) for row in values] for column in _columns(values)}
    if kind == "list":
        return [item for part in values for item in part]
    if len(values) == 1:
        return values[0]
    if kind == "table":
        return {column: [cell for table in values for cell in _cells(table, column)] for column in _columns(values)}
    return values


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row))


def _cells(table: Mapping[str, Any], column: str) -> list[Any]:
    cells = table.get(column, [])
    return cells if isinstance(cells, list) else [cells]


def files_of(control: Path, events: Iterable[Mapping[str, Any]], scope: Scope = "step") -> dict[str, Path]:
    """Names of kept files and images to their places; what isn't a regular file inside the folder is left out."""
    folder = control / _FOLDERS[scope]
    border = folder.resolve()
    names = {event["value"] for event in events if event["scope"] == scope and event["type"] in ("file", "image")}
    places = {name: folder / name for name in sorted(names)}
    return {name: place for name, place in places.items() if place.is_file() and place.resolve().is_relative_to(border)}
