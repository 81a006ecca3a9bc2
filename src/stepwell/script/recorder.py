"""What a script logs through its run, and may read back: metrics, images, files, tags and properties."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from stepwell.errors import UserErrorException
from stepwell.script import channel
from stepwell.script.kept_files import FileRecorder, checked_name
from stepwell.script.metrics import KINDS, encoded, metrics_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any


class Recorder(FileRecorder):
    """What a script logs: metrics, images, files, tags and properties, for the step or for the pipeline run."""

    checked_by_heirs = True

    # Metrics --------------------------------------------------------------------------------------------------------

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """Log one value; repeated under one name, the values become a list, as in Azure ML SDK v1.

        Args:
            name: Name of the metric.
            value: A number, text, or lists and dictionaries of them; numbers of other libraries will do.
            description: Text that is kept with the metric; '' for none.
            step: Position of the value on an axis of the user's choice, such as the epoch; kept with it.

        Raises:
            UserErrorException: The name is empty or no text, or the value can't be written as JSON.
        """
        self._metric("scalar", name, value, description, step)

    def log_list(self, name: str, value: Iterable[Any], description: str = "") -> None:
        """Log a list of values.

        Args:
            name: Name of the metric.
            value: The values; repeated under one name, the lists are joined.
            description: Text that is kept with the metric; '' for none.

        Raises:
            UserErrorException: The name is empty or no text, or the value can't be written as JSON.
        """
        values = list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)) else value
        self._metric("list", name, values, description)

    def log_row(self, name: str, description: str | None = None, **kwargs: Any) -> None:
        """Log one row of a table, a value per column.

        Args:
            name: Name of the metric, a table to which each call adds a row.
            description: Text that is kept with the metric; None for none.
            **kwargs: Names of columns and the row's values.

        Raises:
            UserErrorException: The name is empty or no text, or a value can't be written as JSON.
        """
        self._metric("row", name, kwargs, description)

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Log a table, column by column.

        Args:
            name: Name of the metric.
            value: Names of columns and their lists of values; a pandas data frame will do.
            description: Text that is kept with the metric; '' for none.

        Raises:
            UserErrorException: The name is empty or no text, or the value can't be written as JSON.
        """
        columns = value.to_dict("list") if hasattr(value, "to_dict") else value
        self._metric("table", name, columns, description)

    def log_confusion_matrix(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Log a confusion matrix.

        Args:
            name: Name of the metric.
            value: A dictionary of `schema_type`, `schema_version` and `data` as in Azure ML SDK v1, or its JSON text.
            description: Text that is kept with the metric; '' for none.

        Raises:
            UserErrorException: The name is empty or no text, or the value is no valid JSON.
        """
        self._metric("confusion_matrix", name, _from_json(name, value), description)

    def log_accuracy_table(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Log an accuracy table.

        Args:
            name: Name of the metric.
            value: A dictionary of `schema_type`, `schema_version` and `data` as in Azure ML SDK v1, or its JSON text.
            description: Text that is kept with the metric; '' for none.

        Raises:
            UserErrorException: The name is empty or no text, or the value is no valid JSON.
        """
        self._metric("accuracy_table", name, _from_json(name, value), description)

    def log_residuals(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Log residuals: how far predictions of a regression are from what was observed.

        Args:
            name: Name of the metric.
            value: A dictionary of `schema_type`, `schema_version` and `data` as in Azure ML SDK v1, or its JSON text.
            description: Text that is kept with the metric; '' for none.

        Raises:
            UserErrorException: The name is empty or no text, or the value is no valid JSON.
        """
        self._metric("residuals", name, _from_json(name, value), description)

    def log_predictions(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Log predictions of a regression, to be compared with what was observed.

        Args:
            name: Name of the metric.
            value: A dictionary of `schema_type`, `schema_version` and `data` as in Azure ML SDK v1, or its JSON text.
            description: Text that is kept with the metric; '' for none.

        Raises:
            UserErrorException: The name is empty or no text, or the value is no valid JSON.
        """
        self._metric("predictions", name, _from_json(name, value), description)

    def log_image(
        self, name: str, path: str | os.PathLike[str] | None = None, plot: Any = None, description: str = ""
    ) -> None:
        """Log an image: a file, or what a figure shows; repeated under one name, all are kept.

        Args:
            name: Name of the metric; the kept file is named so, with the ending of `path`, or `.png` for a plot.
            path: Path of an image file; excludes `plot`.
            plot: A figure of matplotlib, or `pyplot` itself; excludes `path`.
            description: Text that is kept with the metric; '' for none.

        Raises:
            UserErrorException: Both or none of `path` and `plot` are given, the file is missing, or the plot can't be
                saved.
        """
        if (path is None) == (plot is None):
            raise UserErrorException(f"Image {name!r} needs one of path and plot", hint="Pass exactly one of them.")
        from stepwell.model.names import folder_name  # hashing is what few scripts need

        ending = ".png" if path is None else os.path.splitext(path)[1]
        source = _drawn(name, plot) if path is None else path
        parts = checked_name("image", name).removesuffix(ending).split("/")
        kept = self._keep("/".join(map(folder_name, filter(None, parts))) + ending, source, again=True)
        self._emit("image", name, kept, description=description)

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: str | None = None, populate: bool = False
    ) -> dict[str, Any]:
        """Return all metrics logged so far, or those of one name.

        Args:
            name: Name of the only metric to return; None for all.
            recursive: Accepted for v1's sake; not used.
            run_type: Accepted for v1's sake; not used.
            populate: Accepted for v1's sake; not used.

        Returns:
            Metrics by name, in the shapes of Azure ML SDK v1: the value itself, a list of repeated values, columns of
            rows and tables, and for an image the path of its file.
        """
        whole = None if name is None else self._prefix + name
        metrics = metrics_of([*self._earlier_metrics(whole), *self._log.events()], self._scope)
        return {key: value for key, value in self._own(metrics).items() if name is None or key == name}

    # Tags and properties --------------------------------------------------------------------------------------------

    def tag(self, key: str, value: Any = None) -> None:
        """Set a tag, as text.

        Args:
            key: Name of the tag.
            value: Its value; None for a tag without one.

        Raises:
            UserErrorException: The name is empty or no text.
        """
        self._emit("tag", key, None if value is None else str(value))

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set several tags, as text; others stay.

        Args:
            tags: Names of tags and their values.

        Raises:
            UserErrorException: A name is empty or no text.
        """
        for key, value in tags.items():
            self.tag(key, value)

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Take tags off; the others stay.

        Args:
            tags: Their names.

        Raises:
            UserErrorException: A name is empty or no text.
        """
        for key in tags:
            self._emit("untag", key, "")

    def get_tags(self) -> dict[str, Any]:
        """Return all tags.

        Returns:
            Names of tags and their values.
        """
        return self._settings("tag", "tags")

    @property
    def tags(self) -> dict[str, Any]:
        """All tags."""
        return self.get_tags()

    @property
    def properties(self) -> dict[str, Any]:
        """All properties."""
        return self.get_properties()

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Add properties, as text; one that is set can't be changed, as in Azure ML SDK v1.

        Args:
            properties: Names of properties and their values.

        Raises:
            UserErrorException: A property is set to another value, or a name is empty or no text.
        """
        known = self._settings("property", "properties", ask=False)
        for key, value in properties.items():
            text = self._log.masked({"value": str(value)})["value"]
            if known.get(key, text) != text:
                raise UserErrorException(
                    f"Property {key!r} is set and can't be changed",
                    {"is": known[key], "asked for": text},
                    "Use a tag for what changes.",
                )
            if key not in known:
                self._emit("property", key, text)

    def get_properties(self) -> dict[str, Any]:
        """Return all properties.

        Returns:
            Names of properties and their values.
        """
        return self._settings("property", "properties")

    # Writing and reading events -------------------------------------------------------------------------------------

    def _metric(self, kind: str, name: str, value: Any, description: str | None = "", step: int | None = None) -> None:
        plain = encoded(value, checked_name("metric", name))
        if not isinstance(plain, KINDS[kind]):
            wanted = "a list" if KINDS[kind] is list else "a dictionary of columns"
            raise UserErrorException(f"Metric {name!r} must be {wanted}", {"found": type(value).__name__})
        more = {"step": encoded(step, name)} if step is not None else {}
        self._emit("metric", name, plain, description=description, kind=kind, **more)

    def _settings(self, type_: str, start: str, *, ask: bool = True) -> dict[str, Any]:
        events = self._log.events()
        asked = ask and self._asks_host
        own = self._log.context.get(start if self._scope == "step" else f"parent_{start}", {})
        given = channel.ask(f"run.{start}")[start] if asked else {} if self._prefix else own
        found = dict(given)
        for event in events:
            if event["scope"] == self._scope and event["type"] == type_:
                found[event["name"]] = event["value"]
            elif event["scope"] == self._scope and event["type"] == "untag" and type_ == "tag":
                found.pop(event["name"], None)
        return self._own(found)

    @property
    def _asks_host(self) -> bool:
        """Whether what other steps set for the pipeline run is known to somebody who can be asked."""
        return self._scope == "parent" and self._log.is_of_step and channel.available()

    def _earlier_metrics(self, name: str | None) -> list[dict[str, Any]]:
        if not self._asks_host:
            return []
        return [{**event, "scope": "parent"} for event in channel.ask("run.metrics", name=name)["events"]]


def _from_json(name: str, value: Mapping[str, Any] | str) -> Any:
    if not isinstance(value, str):
        return value
    from json import loads

    try:
        return loads(value)
    except ValueError as error:
        raise UserErrorException(f"Metric {name!r} isn't valid JSON", {"because": error}) from error


def _drawn(name: str, plot: Any) -> IO[bytes]:
    if not hasattr(plot, "savefig"):
        raise UserErrorException(f"Plot {name!r} can't be saved", {"found": type(plot).__name__}, "Pass a figure.")
    from io import BytesIO

    drawn = BytesIO()
    plot.savefig(drawn, format="png")
    drawn.seek(0)
    return drawn
