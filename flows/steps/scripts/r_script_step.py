"""`RScriptStep`: a step that runs a script in R."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.environments.r.r_section import RCranPackage, RGitHubPackage, RSection, cran_wishes
from stepwell.errors import UserErrorException
from stepwell.flows.steps.argument_types import Argument, CommandOptions, Configuration, Input, Output, Params, Target
from stepwell.flows.steps.driver_options import DriverOptions
from stepwell.flows.steps.settings import environment_of
from stepwell.flows.steps.step import Step


@checked
class RScriptStep(Step):
    """A step that runs a script in R, with its source directory's snapshot as working directory.

    The script finds a package `stepwell`, which is v1's `azuremlsdk`, too, to log metrics and files. Its result is used again
    when the script, the files that it sources, the version of R, those of the packages that it loads, and all else that a
    script step depends on, are as before.

    Args:
        script_name: The script's path in the source directory.
        name: The step's name; None: `script_name`.
        arguments: The script's arguments, as of every step; `commandArgs(trailingOnly = TRUE)` has them.
        compute_target: A compute target, its name, or `(name, type)` as in v1; None: that of `runconfig`, else `local`.
        runconfig: A RunConfiguration, whose `environment.r` may be an RSection.
        runconfig_pipeline_params: Accepted for v1's sake; not used.
        inputs: What it reads, as of every step.
        outputs: What it writes, as of every step.
        params: Values by name, for environment variables `AML_PARAMETER_<name>`;
            or keys of `params.yaml`, which the script reads itself, such as `["train.rate"]`.
        source_directory: The folder whose snapshot is the working directory; None: as of every step.
        use_gpu: Accepted for v1's sake; not used.
        custom_docker_image: The image that containers start from; it has to have R.
        cran_packages: Packages of CRAN, by name or as `RCranPackage`, that are installed where they are lacking.
        github_packages: Packages on GitHub, as `owner/name` or `RGitHubPackage`, that are installed.
        custom_url_packages: Addresses or paths of archives of packages that are installed.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: `script_name` names no script, or packages are asked for that can't be installed.
    """

    def __init__(
        self,
        script_name: str,
        name: str | None = None,
        arguments: Sequence[Argument] | None = None,
        compute_target: Target | None = None,
        runconfig: Configuration | None = None,
        runconfig_pipeline_params: Any = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        params: Params | None = None,
        source_directory: str | PurePath | None = None,
        use_gpu: bool = False,
        custom_docker_image: str | None = None,
        cran_packages: Sequence[RCranPackage | str] | None = None,
        github_packages: Sequence[RGitHubPackage | str] | None = None,
        custom_url_packages: Sequence[str] | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        **more: Unpack[CommandOptions],
    ) -> None:
        if not script_name:
            raise UserErrorException("`script_name` must name a script", {"value": "''"}, "Pass its path as text.")
        options: dict[str, Any] = {**more}
        environment = environment_of(runconfig, options.pop("environment", None), {})
        if custom_docker_image:
            environment = replace(environment, image=custom_docker_image)
        section = _section(runconfig)
        wishes = {
            "cran": [*cran_wishes(section.cran_packages), *cran_wishes(cran_packages)],
            "github": [*map(_repository, (*section.github_packages, *(github_packages or ())))],
            "urls": [*section.custom_url_packages, *(custom_url_packages or ())],
        }
        asked = {kind: found for kind, found in wishes.items() if found and not section.user_managed}
        super().__init__(
            name=name or script_name,
            script=script_name,
            arguments=arguments,
            compute_target=compute_target,
            runconfig=runconfig,
            inputs=inputs,
            outputs=outputs,
            params=params,
            source_directory=source_directory,
            allow_reuse=allow_reuse,
            version=version,
            environment=environment,
            driver=DriverOptions("r", {"rscript": section.rscript_path, "packages": asked or None}, language="r"),
            **options,
        )


def _section(runconfig: Any) -> RSection:
    found = getattr(getattr(runconfig, "environment", None), "r", None)
    section = found if isinstance(found, RSection) else RSection()
    if section.bioconductor_packages:
        raise UserErrorException(
            "Packages of Bioconductor are not installed by a step",
            {"packages": ", ".join(section.bioconductor_packages)},
            "Install them where R is, or name an image that has them as `custom_docker_image=`.",
        )
    return section


def _repository(package: RGitHubPackage | str) -> str:
    if isinstance(package, RGitHubPackage):
        if package.auth_token:
            raise UserErrorException(
                "A token for a package on GitHub would be part of the step, where everybody sees it",
                {"package": package.repository},
                "Put it into the environment variable GITHUB_PAT of the machine that runs the step.",
            )
        return package.repository
    return package
