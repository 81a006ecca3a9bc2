"""The rows of packages: of an environment of its own what was asked for, word by word; else the versions in use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

from stepwell.blocks.environments.base_interpreter import base_interpreter, minor
from stepwell.blocks.environments.conda_packages import name_of
from stepwell.blocks.environments.packages import Packages
from stepwell.blocks.environments.requirements import asked_for, without_user_info
from stepwell.blocks.environments.survey import EDITABLE
from stepwell.blocks.system.companions import companion_distributions, companion_names
from stepwell.model.definitions import EnvironmentDefinition, StepDefinition
from stepwell.model.digests import digest
from stepwell.model.fingerprint import CONTENT, Fingerprint, Row
from stepwell.model.records import OwnModule, StepCall

_IMPORTED = "imported package "
_COVERED = ("package", "own package", "command package")


def inherits(definition: StepDefinition) -> bool:
    """Return whether a step finds the packages in use here; an environment or image of its own speaks for itself."""
    environment = definition.environment
    return not (environment.isolated or environment.image or environment.dockerfile)


def package_rows(environment: EnvironmentDefinition, python_version: str) -> Iterator[Row]:
    """Yield the Python, packages and indexes of an isolated environment; `python_version` is the one in use."""
    yield Row("python", "", _python(environment.python, python_version))
    asked = asked_for(environment.requirements)
    options = asked.pop("", "")
    yield from (Row("package", name, wish) for name, wish in asked.items())
    for text in sorted(environment.conda):
        name = name_of(text)
        version = text.rpartition("::")[2][len(name) :].strip()
        channel = text.rpartition("::")[0]
        exact = version.removeprefix("==")
        asked_version = (version if any(sign in exact for sign in "=<>!~*,") else exact) or "any"
        yield Row("conda package", name, f"{asked_version} of {channel}" if channel else asked_version)
    if environment.channels:
        yield Row("conda channels", "", ", ".join(environment.channels))
    if environment.index_url:
        yield Row("package index", "", without_user_info(environment.index_url))
    if options:
        yield Row("pip options", "", options)
    if asked or environment.conda:
        yield Row("platform", "", f"{sys.platform}-{os.uname().machine}")


def image_rows(environment: EnvironmentDefinition) -> Iterator[Row]:
    """Yield the image or Dockerfile that containers start from, if the environment has one of its own."""
    if environment.image:
        yield Row("image", "", environment.image)
    if environment.dockerfile:
        yield Row("dockerfile", "", CONTENT + digest("dockerfile", environment.dockerfile))


def _python(asked: str, python_version: str) -> str:
    """Return the version that was asked for, since containers of other images may have it, and the one in use."""
    if not minor(asked):
        return python_version
    used = python_version if minor(asked) == minor(python_version) else base_interpreter(asked).version
    return f"{asked} ({used})"


# Packages in use --------------------------------------------------------------------------------------------------------


def distributions_behind(modules: Iterable[str], packages: Packages) -> dict[str, str]:
    """Return the distributions that modules and their requirements come from, with versions."""
    own = {"stepwell", *companion_names()}  # logging decides nothing
    return packages.distributions_of(name for name in modules if name not in own)


def inherited_rows(
    modules: Iterable[str], packages: Packages, own_code: Iterable[OwnModule], *, kind: str = "package"
) -> Iterator[Row]:
    """Yield the packages behind modules. Those that people work on count by their files, whatever their version says."""
    own_code = tuple(own_code)
    own = packages.owners_of(module.name for module in own_code) if own_code else frozenset()
    found = distributions_behind(modules, packages)
    for name, version in sorted(found.items()):
        if name in own and version.endswith(EDITABLE):
            yield Row("own package", name, version.removesuffix(EDITABLE))
        else:
            yield Row(kind, name, version)
    if platform := packages.platform_of(name for name in found if not found[name].endswith(EDITABLE)):
        yield Row("platform", "", platform)
    kept = [module for module in own_code if module.digest]
    for number, module in enumerate(kept):
        again = sum(other.name == module.name for other in kept[:number])
        yield Row("own module", f"{module.name} ({again + 1})" if again else module.name, CONTENT + module.digest)


# Packages that were seen to be imported ---------------------------------------------------------------------------------


def imported_name(distribution: str) -> str:
    """Return the name under which the store remembers that steps imported a package: that of no file."""
    return _IMPORTED + distribution


def is_imported(name: str) -> bool:
    """Return whether what the store remembers is a package, not a file."""
    return name.startswith(_IMPORTED)


def packages_behind(call: StepCall, modules: Iterable[str], packages: Packages) -> set[str]:
    """Return the installed packages behind modules, but for those that a row of the call covers, and Stepwell's own."""
    names = set(modules)
    if not names or not inherits(call.definition):
        return set()
    found = set(packages.owners_of(names))
    if "prefect" in names:
        found -= set(packages.distributions_of(["stepwell", "prefect"]))
    elif "stepwell" in names:
        found.discard("lazy-loader")  # a script that only logs brings no more
    return found - {"stepwell", *companion_distributions()} - _covered(call)


def foreign_companions(call: StepCall, modules: Iterable[str], packages: Packages) -> set[str]:
    """Return the packages that should have gone with Stepwell, but that a step had from another distribution of its own.

    Those of Stepwell are installed where the packages in use here are, and nowhere else.
    """
    found = companion_names() & set(modules)
    ours = companion_distributions()
    return {name for name in found if not (inherits(call.definition) and packages.owners_of([name]) <= ours)}


def with_imported(call: StepCall, names: Iterable[str], packages: Packages) -> StepCall:
    """Return the call, its fingerprint extended by packages that no row covers, since no code names them."""
    wanted = {name.removeprefix(_IMPORTED) for name in names} - _covered(call)
    versions = packages.versions(wanted) if inherits(call.definition) else {}
    added = tuple(
        Row("imported", name, f"{version} {packages.platform_of([name])}".rstrip())
        for name, version in sorted(versions.items())
    )
    reads = tuple(row for row in call.fingerprint.rows if row.kind == "read")
    return replace(call, fingerprint=Fingerprint((*call.fingerprint.without("imported", "read").rows, *added, *reads)))


def _covered(call: StepCall) -> set[str]:
    return {row.name for row in call.fingerprint.rows if row.kind in _COVERED}
