"""A step that runs a script in R: its run, its key, its packages."""

from __future__ import annotations

import json
import shutil

import pytest

from stepwell import OutputFileDatasetConfig, PipelineRun, RScriptStep, RunConfiguration
from stepwell.blocks.environments.r.r_section import RCranPackage, RGitHubPackage, RSection
from stepwell.errors import UserErrorException
from stepwell.flows.keys import r_rows


def define(step):
    return step.define(step_id="r", producers={}, ids={})


def packages(step):
    settings = define(step).driver.settings
    return json.loads(settings["packages"][0].value) if "packages" in settings else None


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="r-base-core is not installed")
def test_a_script_runs_and_is_run_again_when_what_it_sources_reads_or_loads_has_changed(project, monkeypatch):
    outside = project.folder / "outside.csv"
    outside.write_text("a\n1\n")
    project.write("lib.R", "factor <- 2")
    project.write(
        "work.R",
        f"""
        library(azuremlsdk)
        source("lib.R")
        args <- commandArgs(trailingOnly = TRUE)
        x <- read.csv("{outside}")$a
        log_metric_to_run("x", x * factor)
        cat("live\\n")
        writeLines(as.character(x), file.path(args[1], "x.txt"))
        """,
    )
    out = OutputFileDatasetConfig("out")
    step = RScriptStep("work.R", arguments=[out], outputs=[out], source_directory=project.source)
    pipeline = project.pipeline(step)
    summary = project.run(pipeline)
    assert summary.steps[0].happened == "ran", summary.steps[0].error
    [found] = PipelineRun.get(project.workspace, summary.run_id).find_step_run("work.R")
    assert found.get_metrics() == {"x": 2} and found.get_stdout_log() == "live\n"
    assert project.run(pipeline).steps[0].happened == "reused"
    project.write("lib.R", "factor <- 3")
    assert project.run(pipeline).steps[0].why == ("module lib.R changed",)
    outside.write_text("a\n5\n")
    assert project.run(pipeline).steps[0].why == (f"file read but not declared {outside} changed",)
    survey = r_rows.r_survey()
    monkeypatch.setattr(r_rows, "r_survey", lambda *_: type(survey)("9.9", survey.packages))
    assert project.run(pipeline).steps[0].why == (f"R: {survey.version} → 9.9",)


def test_packages_are_asked_for_in_all_of_v1s_ways():
    section = RSection()
    section.cran_packages = [RCranPackage("dplyr", "1.0"), "tidyr"]
    section.github_packages = [RGitHubPackage("a/b@main")]
    section.rscript_path = "/opt/R/bin/Rscript"
    config = RunConfiguration()
    config.environment.r = section
    step = RScriptStep("a.R", runconfig=config, cran_packages=["readr"], custom_url_packages=["https://x.org/y.tar.gz"])
    cran = [{"name": "dplyr", "version": "1.0"}, {"name": "tidyr"}, {"name": "readr"}]
    assert packages(step) == {"cran": cran, "github": ["a/b@main"], "urls": ["https://x.org/y.tar.gz"]}
    assert define(step).driver.settings["rscript"][0].value == "/opt/R/bin/Rscript"
    section.user_managed = True
    assert packages(RScriptStep("a.R", runconfig=config)) is None
    assert packages(RScriptStep("a.R")) is None


def test_an_image_is_what_containers_start_from():
    definition = define(RScriptStep("a.R", custom_docker_image="r:4", environment_variables={"A": "1"}))
    assert (definition.environment.image, definition.environment.variables) == ("r:4", {"A": "1"})


def test_what_can_not_be_installed_is_refused():
    config = RunConfiguration()
    config.environment.r = RSection()
    config.environment.r.bioconductor_packages = ["limma"]
    with pytest.raises(UserErrorException, match="Bioconductor"):
        RScriptStep("a.R", runconfig=config)
    with pytest.raises(UserErrorException, match="A token for a package on GitHub"):
        RScriptStep("a.R", github_packages=[RGitHubPackage("a/b", "secret")])
    with pytest.raises(UserErrorException, match="must name a script"):
        RScriptStep("")
    with pytest.raises(UserErrorException, match="CRAN has no package called 'a b'"):
        RScriptStep("a.R", cran_packages=["data.table", RCranPackage("a b")])
