"""What a Databricks step wants on its cluster: packages and files, under v1's names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stepwell.blocks.arguments.checked import checked


@checked
@dataclass(frozen=True)
class MavenLibrary:
    """A library from a Maven repository.

    Attributes:
        coordinates: `group:artifact:version`.
        repo: The repository; None: Maven Central.
        exclusions: Dependencies that are left out, as `group:artifact`.
    """

    coordinates: str | None = None
    repo: str | None = None
    exclusions: Sequence[str] | None = None

    def _plain(self) -> dict[str, Any]:
        exclusions = list(self.exclusions or ())
        return {"maven": _without_none(coordinates=self.coordinates, repo=self.repo, exclusions=exclusions or None)}


@checked
@dataclass(frozen=True)
class PyPiLibrary:
    """A package of Python.

    Attributes:
        package: What pip is asked for, such as `scikit-learn==1.5`.
        repo: The index that has it; None: PyPI.
    """

    package: str | None = None
    repo: str | None = None

    def _plain(self) -> dict[str, Any]:
        return {"pypi": _without_none(package=self.package, repo=self.repo)}


@checked
@dataclass(frozen=True)
class EggLibrary:
    """An egg or wheel.

    Attributes:
        library: Its path: `dbfs:/…`, or in the source directory.
    """

    library: str | None = None

    def _plain(self) -> dict[str, Any]:
        return {"egg": self.library}


@checked
@dataclass(frozen=True)
class JarLibrary:
    """A jar.

    Attributes:
        library: Its path: `dbfs:/…`, or in the source directory.
    """

    library: str | None = None

    def _plain(self) -> dict[str, Any]:
        return {"jar": self.library}


@checked
@dataclass(frozen=True)
class RCranLibrary:
    """A package of R.

    Attributes:
        package: Its name on CRAN.
        repo: The repository that has it; None: CRAN.
    """

    package: str | None = None
    repo: str | None = None

    def _plain(self) -> dict[str, Any]:
        return {"cran": _without_none(package=self.package, repo=self.repo)}


Library = MavenLibrary | PyPiLibrary | EggLibrary | JarLibrary | RCranLibrary


def plain_libraries(libraries: Iterable[Library]) -> list[dict[str, Any]]:
    """Return libraries as Databricks' REST interface has them, such as `{"pypi": {"package": "simplejson"}}`."""
    return [library._plain() for library in libraries]  # noqa: SLF001  (of this module's own classes)


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
