"""The R section of v1's environments: which packages a script in R needs, and where they come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException


@checked
class RCranPackage:
    """A package of CRAN, as in Azure ML SDK v1.

    Args:
        name: The package's name.
        version: The only version that will do; None: any.
        repository: The address of another repository of the kind; None: CRAN.

    Attributes:
        name: As the argument.
        version: As the argument.
        repository: As the argument.
    """

    def __init__(self, name: str, version: str | None = None, repository: str | None = None) -> None:
        self.name, self.version, self.repository = name, version, repository


@checked
class RGitHubPackage:
    """A package on GitHub, as in Azure ML SDK v1.

    Args:
        repository: The repository, `owner/name`, which may end in `@` and a branch, tag or commit.
        auth_token: Accepted for v1's sake; refused: it would be seen by everybody.

    Attributes:
        repository: As the argument.
    """

    def __init__(self, repository: str, auth_token: str | None = None) -> None:
        self.repository, self.auth_token = repository, auth_token


class RSection:
    """The packages of a script in R, as in Azure ML SDK v1: the attribute `r` of an Environment.

    Attributes:
        r_version: Accepted for v1's sake; not used: R is the one in use, or that of the image.
        user_managed: Whether no package is installed.
        rscript_path: The program that runs scripts; None: `Rscript`.
        snapshot_date: Accepted for v1's sake; not used.
        cran_packages: Packages of CRAN, a list of `RCranPackage`.
        github_packages: Packages on GitHub, a list of `RGitHubPackage`.
        custom_url_packages: Addresses or paths of archives of packages.
        bioconductor_packages: Accepted for v1's sake; refused by the step.
    """

    def __init__(self) -> None:
        self.r_version: str | None = None
        self.user_managed = False
        self.rscript_path: str | None = None
        self.snapshot_date: str | None = None
        self.cran_packages: list[RCranPackage | str] = []
        self.github_packages: list[RGitHubPackage | str] = []
        self.custom_url_packages: list[str] = []
        self.bioconductor_packages: list[str] = []


def cran_wishes(packages: Sequence[RCranPackage | str] | None) -> list[dict[str, Any]]:
    """Return plain values of packages of CRAN: `name`, and `version` and `repository` where they are given."""
    named = [package if isinstance(package, RCranPackage) else RCranPackage(package) for package in packages or ()]
    for package in named:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9.]*", str(package.name or "")):
            raise UserErrorException(
                f"CRAN has no package called {package.name!r}",
                hint="Use its name, letters, digits and dots, such as 'data.table'.",
            )
    return [{key: value for key, value in vars(package).items() if value is not None} for package in named]
