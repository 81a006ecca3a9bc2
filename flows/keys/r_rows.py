"""The rows of a script in R: the R in use, and the packages that the script and what it sources load, with what these need."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from stepwell.blocks.environments.r.r_survey import r_survey
from stepwell.blocks.source.r_code import libraries_of, sourced_by
from stepwell.flows.keys.source_directory import Source
from stepwell.model.definitions import Driver
from stepwell.model.fingerprint import Row


def r_rows(driver: Driver, script: str, source: Source, variables: Mapping[str, str]) -> Iterator[Row]:
    """Yield the rows of a script in R that finds the packages in use here; none where there is no R.

    `variables` are those of its environment.
    """
    named = driver.settings.get("rscript", ())
    survey = r_survey("".join(piece.value for piece in named) or "Rscript", variables)
    if survey is None:
        return
    yield Row("R", "", survey.version)
    script = posixpath.normpath(script)
    code = [source.read(script), *sourced_by(script, source.read).values()]
    loaded = {name for text in code for name in libraries_of(text)}
    yield from (Row("R package", name, version) for name, version in survey.versions(loaded).items())
