"""What a Databricks job runs in place of a step's script: it lays out the step's files, runs the script, and hands back its log.

It travels alone, as a file, to whatever Python >= 3.8 the cluster has. Its first argument is the job's folder, `dbfs:/…` or
`/Volumes/…`; the others are the script's own. There it finds `step.json`, `source.zip` (the working directory) and
`bundle.zip` (what scripts import of Stepwell), and leaves `log/<number>.txt` while it runs and `result.zip` at its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import shutil
import sys
import tempfile
import threading
import zipfile

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TextIO

_SECONDS = 2.0
_GIVEN = ("spark", "sc", "sqlContext", "dbutils", "display", "displayHTML")


def main(names: dict[str, Any]) -> None:
    """Run the script of the job's folder; `names` are the global names that Databricks gave this file."""
    job, work = sys.argv[1], tempfile.mkdtemp(prefix="stepwell-")
    parts = [_fetched(job, name, work) for name in ("step.json", "source.zip", "bundle.zip")]
    with open(parts[0], encoding="utf-8") as stream:
        step = json.load(stream)
    places = {name: os.path.join(work, name) for name in ("source", "bundle", "control")}
    for archive, place in ((parts[1], places["source"]), (parts[2], places["bundle"])):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(place)
    for folder in (*(os.path.join(places["source"], kept) for kept in ("outputs", "logs")), places["control"]):
        os.makedirs(folder, exist_ok=True)
    with open(os.path.join(places["control"], "context.json"), "w", encoding="utf-8") as stream:
        json.dump(step["context"], stream)
    os.environ.update(step["variables"], AZUREML_RUN_ID=step["context"]["id"], STEPWELL_CONTROL=places["control"])
    os.chdir(places["source"])
    script, before = os.path.join(places["source"], step["script"]), _states(places["source"])
    sys.path.insert(0, os.path.dirname(script))
    sys.path.extend([places["source"], os.path.join(places["bundle"], "code"), places["bundle"]])
    sys.argv = [step["script"], *sys.argv[2:]]
    log = _Log(job, work)
    try:
        with log:
            runpy.run_path(step["script"], {name: names[name] for name in _GIVEN if name in names}, "__main__")
    except SystemExit as end:
        if end.code not in (None, 0):  # Databricks takes every one for a failure
            raise
    finally:
        try:
            _hand_back(job, places, before, work)
        except Exception as error:  # noqa: BLE001  (the script's own end is what counts)
            sys.stderr.write(f"What the script logged can't be handed back: {type(error).__name__}: {error}\n")


# Its files ----------------------------------------------------------------------------------------------------------


def _local(path: str) -> str:
    """Return where the cluster's machine sees a path; '' if it sees none."""
    place = "/dbfs/" + path[5:].lstrip("/") if path.startswith("dbfs:") else path
    return place if os.path.isdir(os.path.dirname(os.path.dirname(place))) else ""


def _utilities() -> Any:
    import importlib  # of what only the cluster has

    spark = importlib.import_module("pyspark.sql").SparkSession.builder.getOrCreate()
    return importlib.import_module("pyspark.dbutils").DBUtils(spark)


def _fetched(job: str, name: str, work: str) -> str:
    target, place = os.path.join(work, name), _local(job + "/" + name)
    if place:
        shutil.copyfile(place, target)
    else:
        _utilities().fs.cp(job + "/" + name, "file:" + target)
    return target


def _leave(job: str, name: str, source: str) -> None:
    place = _local(job + "/" + name)
    if place:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copyfile(source, place)
    else:
        _utilities().fs.cp("file:" + source, job + "/" + name)


def _files(folder: str) -> Iterator[str]:
    for top, _, names in os.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(top, name), folder)


def _states(source: str) -> dict[str, tuple[int, int]]:
    """Return the size and time of each file that stands where scripts leave files."""
    found = {}
    for kept in ("outputs", "logs"):
        for name in _files(os.path.join(source, kept)):
            status = os.stat(os.path.join(source, kept, name))
            found[kept + "/" + name] = (status.st_size, status.st_mtime_ns)
    return found


def _hand_back(job: str, places: dict[str, str], before: dict[str, tuple[int, int]], work: str) -> None:
    """Leave what the script logged, and the files that it wrote to `outputs/` and `logs/`."""
    result = os.path.join(work, "result.zip")
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in _files(places["control"]):
            packed.write(os.path.join(places["control"], name), "control/" + name)
        for name, state in _states(places["source"]).items():
            if before.get(name) != state:
                packed.write(os.path.join(places["source"], name), name)
    _leave(job, "result.zip", result)
    os.chdir("/")
    shutil.rmtree(work, ignore_errors=True)


# Its output ---------------------------------------------------------------------------------------------------------


class _Log:
    """What the script prints, also left in the job's folder: a file for what came within some seconds."""

    def __init__(self, job: str, work: str) -> None:
        self._job, self._file = job, os.path.join(work, "log.txt")
        self._texts: list[str] = []
        self._number = 0
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="stepwell-log", daemon=True)

    def __enter__(self) -> _Log:
        self._own = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (_Copied(stream, self._texts) for stream in self._own)  # type: ignore[assignment]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._own
        self._ended.set()
        self._thread.join()
        self._send()

    def _follow(self) -> None:
        while not self._ended.wait(_SECONDS):
            self._send()

    def _send(self) -> None:
        count = len(self._texts)
        text = "".join(self._texts[:count])
        del self._texts[:count]
        if not text:
            return
        with open(self._file, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text + "\0")  # by its end a reader knows that it is whole
        with contextlib.suppress(Exception):  # what is printed is in Databricks' own log, too
            _leave(self._job, f"log/{self._number:06d}.txt", self._file)
            self._number += 1


class _Copied:
    """A stream whose texts are also gathered."""

    def __init__(self, stream: TextIO, texts: list[str]) -> None:
        self._stream, self._texts = stream, texts

    def write(self, text: str) -> int:
        """Write a text, and gather it."""
        self._texts.append(text)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines, and gather them."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


if __name__ == "__main__":
    main(globals())
