"""`DockerCompute`: steps in containers of an engine on this machine, in images made for their environments."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PrivateAttr

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.compute.docker.container import (
    ERR,
    MOST_PROCESSES,
    OUT,
    ContainerExit,
    ContainerSpec,
    run_container,
)
from stepwell.blocks.compute.docker.container_user import ContainerUser, container_user
from stepwell.blocks.compute.docker.engine import Engine, connect
from stepwell.blocks.compute.docker.gpus import Gpus
from stepwell.blocks.compute.docker.images import Images
from stepwell.blocks.compute.docker.mounts import ROOT, in_container
from stepwell.blocks.compute.docker.recipe import recipe_for
from stepwell.blocks.compute.docker.secret_variables import ContainerProcess, without_secrets
from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.own_code import Python, naming_user_files
from stepwell.blocks.compute.tracking import mlflow_runs
from stepwell.blocks.compute.working_directory import (
    command,
    keep_files,
    note_reads,
    prepare,
    write_programs,
)
from stepwell.blocks.processes.command import PAYLOAD, Command, check
from stepwell.blocks.processes.output import OnOutput, Redact, Text, open_log
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.processes.step_channel import listening
from stepwell.blocks.server import documents
from stepwell.errors import ComputeTargetException, StepFailedException, UserErrorException
from stepwell.model.definitions import Resources, StepDefinition
from stepwell.model.records import Exit

if TYPE_CHECKING:
    from prefect.blocks.core import Block

_STDIN = "/dev/fd/0"
_VARIABLES = {"HOME": "/tmp", "TINI_KILL_PROCESS_GROUP": "1"}  # noqa: S108
_NOT_STARTED, _INIT_FAILED, _CHUNK = (126, 127), b"[FATAL tini (", 4096
_SIZE = r"^([0-9]+(\.[0-9]+)?\s*[bkmgtBKMGT]?[bB]?)?$"


def _processors() -> int:
    return max(2, os.cpu_count() or 2)


@checked
class DockerCompute(Compute):
    """Containers of a Docker engine that shares this machine's files. Nothing of Stepwell needs to be in their images.

    Attributes:
        max_concurrent: How many steps of a pipeline run at once; by default as many as there are processors.
        image: The image that steps run in, or that theirs are made from; by default `python:VERSION-slim`.
        docker_host: The engine's address; by default that of DOCKER_HOST, else this machine's.
        host_block: The name of a saved DockerHost block that has the address instead.
        registry_block: The name of a saved DockerRegistryCredentials block.
        repository: Where images that are made are also kept; by default in the engine only.
        network: The network of steps: `none` (the default), `host`, `bridge` or one of your own.
        build_network: The network in which packages are installed; by default the engine's.
        gpus: The GPUs of the target: `all`, or their numbers such as `0,1`; by default those that a step asks for.
        memory: The most memory of a step, such as `2g`; by default there is no limit.
        cpus: The most processors of a step; 0 is no limit.
        shm_size: The size of /dev/shm, such as `1g`; by default the engine's.
        pids_limit: The most processes and threads of a step; 0 is no limit.
        user: Who steps are in the container, as `1000:1000` or `root`; by default you, or nobody if you are root.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Docker Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-docker-compute"
    _description: ClassVar[str | None] = "Runs steps in containers of a Docker engine."
    default_name: ClassVar[str] = "docker"
    uses_images: ClassVar[bool] = True

    max_concurrent: int = Field(
        default_factory=_processors, ge=1, description="How many steps of a pipeline run at once."
    )
    image: str = Field(
        default="",
        description="The image that steps run in, or that theirs are made from; '' is `python:VERSION-slim`.",
    )
    docker_host: str = Field(default="", description="The engine's address; '' is DOCKER_HOST, else this machine's.")
    host_block: str = Field(
        default="", description="The name of a saved DockerHost block that says the address instead."
    )
    registry_block: str = Field(default="", description="The name of a saved DockerRegistryCredentials block.")
    repository: str = Field(
        default="", description="Where images that are made are also kept; '' is in the engine only."
    )
    network: str = Field(
        default="none", description="The network of steps: `none`, `host`, `bridge` or one of your own."
    )
    build_network: str = Field(
        default="", description="The network in which packages are installed; '' is the engine's."
    )
    gpus: str = Field(default="", description="The GPUs of the target: `all`, or their numbers such as `0,1`.")
    memory: str = Field(
        default="", pattern=_SIZE, description="The most memory of a step, such as `2g`; '' is no limit."
    )
    cpus: float = Field(
        default=0, ge=0, allow_inf_nan=False, description="The most processors of a step; 0 is no limit."
    )
    shm_size: str = Field(default="", pattern=_SIZE, description="The size of /dev/shm, such as `1g`.")
    pids_limit: int = Field(
        default=MOST_PROCESSES, ge=0, description="The most processes and threads of a step; 0 is no limit."
    )
    user: str = Field(
        default="",
        pattern=r"^(root|\d+(:\d+)?)?$",
        description="Who steps are in the container: `root` or numbers; '' is you, or nobody if you are root.",
    )
    _known_gpus: Gpus | None = PrivateAttr(None)

    @property
    def reaches_network(self) -> bool:
        """Whether steps reach a network: not if the target has none for them."""
        return self.network != "none"

    def run(self, job: Job, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Finished:
        """Run the job in a container, in an image for its environment, which is made first if need be.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.
            on_output: Called with each piece of the script's output while it runs.
            stop: Signal that ends the job once it is raised.
            redact: Returns a text without the secrets in it; applied to all that is logged or passed on.

        Returns:
            How the process ended, and where its outputs stand on this machine.

        Raises:
            ComputeTargetException: The engine can't be reached or lacks something, or the image can't be made.
            StepFailedException: The image lacks the step's program.
            StepCancelledException: The run was stopped while the image was made.
        """
        engine = self._engine()
        user = container_user(self.user, rootless=engine.rootless, target=engine.target)
        images = self._images(engine, on_output, stop, redact)
        image = images.image_for(recipe_for(job.call, self.image))
        directory = prepare(job, job.folder)
        seen, mounts = in_container(directory, job)
        environment = job.call.definition.environment
        python = Python.other(environment.interpreter or "python3", ROOT / "bundle")
        path = _path_of(python.interpreter, images.path_in(image), directory.folder)
        process = command(job, seen, python, {**_VARIABLES, "PATH": path})
        _check_text(process)
        argv = tuple(_STDIN if word == PAYLOAD else word for word in process.argv) if process.payload else process.argv
        shown = without_secrets(argv, process.variables, process.payload, redact)
        name = f"stepwell-{job.step_run_id}-{secrets.token_hex(3)}"  # an earlier try may not be gone yet
        listened = listening(job.requests, directory.channel, same_files=False)
        with self._gpus.assigned(job.call.definition) as devices, listened, user.owns(job.folder, job.control):
            settings = self._settings(job, shown, process.folder, image, mounts, user, devices)
            spec = ContainerSpec(name, settings, shown.stdin, process.timeout_seconds, process.grace_seconds)
            named = naming_user_files(redact, job.call, seen.source, job.snapshot, seen.own_code)
            end = self._follow(engine, spec, process, on_output, stop, named)
        note_reads(job, directory, folders=False)  # they were listed to change their owner
        keep_files(job, directory)
        mlflow_runs.keep(job.record, job.control)
        facts = {"image": image, "container": name, "guard": "container"}
        return Finished(end, directory.written, same_files=False, facts=facts, seen_at=seen.written)

    def check(self, step: StepDefinition) -> None:
        """Raise ComputeTargetException if the target could never run the step; the engine is not asked.

        Args:
            step: The definition of the step.

        Raises:
            ComputeTargetException: The step asks for more than there is, or for an interpreter of this machine.
        """
        demand, capacity, name = self.demand(step), self.capacity(), self.name or self.default_name
        for resource in set(demand) & set(capacity):
            if demand[resource] > capacity[resource]:
                facts = {"step": step.name, "asks for": f"{demand[resource]:g}", "there are": f"{capacity[resource]:g}"}
                title = f"The compute target {name!r} has not enough {resource} for a step"
                raise ComputeTargetException(title, facts, "Ask for less, or choose another compute target.")
        environment = step.environment
        if environment.interpreter and not (environment.image or environment.dockerfile):
            raise ComputeTargetException(
                f"The step {step.name!r} names an interpreter of this machine, which no container of {name!r} has",
                {"step": step.name, "interpreter": environment.interpreter},
                "Name an image too, or give the step requirements instead.",
            )

    def ready(self) -> None:
        """Raise ComputeTargetException if the engine can't be reached.

        Raises:
            ComputeTargetException: The engine does not answer, is elsewhere, or a named block is not saved.
        """
        self._engine()

    def capacity(self) -> Mapping[str, float]:
        """Return how many steps, processors, bytes of memory, and numbered GPUs one pipeline may take at once.

        Returns:
            Amounts of `steps`, `cpus`, `memory` (bytes), and `gpus` if the target has numbers of them.
        """
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        numbered = {"gpus": len(self._gpus.ids)} if self._gpus.ids else {}
        return {"steps": self.max_concurrent, "cpus": _processors(), "memory": memory, **numbered}

    def demand(self, step: StepDefinition) -> Mapping[str, float]:
        """Return what the step asks for, or the limits that the target gives to each step, if it has any.

        Args:
            step: The definition of the step.

        Returns:
            Amounts by resource, in the units of `capacity`.
        """
        wanted = step.resources or Resources(cpus=min(self.cpus, _processors()), memory=_bytes(self.memory))
        numbered = {"gpus": self._gpus.count(step)} if self._gpus.ids else {}
        return {"steps": 1, "cpus": wanted.cpus, "memory": wanted.memory or _bytes(self.memory), **numbered}

    @property
    def _gpus(self) -> Gpus:
        if self._known_gpus is None:
            self._known_gpus = Gpus(self.gpus)
        return self._known_gpus

    # The engine -----------------------------------------------------------------------------------------------------

    def _engine(self) -> Engine:
        name, address = self.name or self.default_name, self.docker_host
        if self.host_block:
            from prefect_docker import DockerHost

            address = self._block(DockerHost, self.host_block).base_url or address
        return connect(name, address)

    def _images(self, engine: Engine, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Images:
        return Images(engine, on_output, stop, redact, self.repository, self._login(), self.build_network)

    def _login(self) -> Mapping[str, str] | None:
        if not self.registry_block:
            return None
        from prefect_docker import DockerRegistryCredentials

        block = self._block(DockerRegistryCredentials, self.registry_block)
        return {
            "username": block.username,
            "password": block.password.get_secret_value(),
            "serveraddress": block.registry_url,
        }

    def _block(self, kind: type[Block], name: str) -> Any:
        block = documents.load(kind, name)
        if block is None:
            raise ComputeTargetException(
                f"The compute target {self.name or self.default_name!r} names a block that is not saved",
                {"kind": kind.__name__, "name": name},
                "Save the block under this name, or correct the name.",
            )
        return block

    # A container ----------------------------------------------------------------------------------------------------

    def _settings(
        self,
        job: Job,
        shown: ContainerProcess,
        folder: Path,
        image: str,
        mounts: list[dict[str, Any]],
        user: ContainerUser,
        devices: list[dict[str, Any]],
    ) -> dict[str, Any]:
        wanted, environment = job.call.definition.resources or Resources(cpus=0), job.call.definition.environment
        memory = wanted.memory or _bytes(self.memory)
        shared = _bytes(environment.shm_size or self.shm_size)
        host: dict[str, Any] = {
            "Mounts": mounts,
            "NetworkMode": self.network,
            "NanoCpus": round((wanted.cpus or self.cpus) * 1e9),
            "DeviceRequests": devices,
            "PidsLimit": self.pids_limit or -1,
        }
        host |= {"Memory": memory, "MemorySwap": memory} if memory else {}
        host |= {"ShmSize": shared} if shared else {}
        host |= {"GroupAdd": [str(group) for group in os.getgroups()]} if user.is_caller else {}
        return {
            "Image": image,
            "User": f"{user.number}:{user.group}",
            "WorkingDir": str(folder),
            "Entrypoint": shown.argv[:1],
            "Cmd": shown.argv[1:],
            "Env": [f"{name}={value}" for name, value in shown.variables.items()],
            "HostConfig": host,
        }

    def _follow(
        self,
        engine: Engine,
        spec: ContainerSpec,
        process: Command,
        on_output: OnOutput,
        stop: StopSignal,
        redact: Redact,
    ) -> Exit:
        with open_log(process.stdout) as out, open_log(process.stderr) as err, open_log(process.combined) as both:
            if stop.stopped:
                return Exit(-signal.SIGTERM, 0.0, cancelled=True)
            texts = {OUT: Text((out, both), redact), ERR: Text((err, both), redact)}

            def emit(data: bytes) -> None:
                if data:
                    on_output(data.decode("utf-8", "replace"))

            end = run_container(engine, spec, lambda channel, data: emit(texts[channel].take(data)), stop)
            for text in texts.values():
                emit(text.finish())
            if end.code in _NOT_STARTED and _INIT_FAILED in process.stderr.read_bytes()[-_CHUNK:]:
                raise _not_in_image(process.argv[0], spec.settings["Image"], end.code)
            if end.out_of_memory and end.code:
                emit(texts[ERR].take(_out_of_memory(spec, end)))
            return Exit(end.code, end.seconds, timed_out=end.why == "timeout", cancelled=end.why == "stop")


def _path_of(interpreter: str, path: str, folder: Path) -> str:
    """Return the PATH of the container: `python` and `python3` are the interpreter that scripts run with."""
    write_programs({"python", "python3"} - {interpreter}, interpreter, folder)
    place = [os.path.dirname(interpreter)] if os.path.isabs(interpreter) else []
    return os.pathsep.join([str(ROOT / "bin"), *place, path])


def _check_text(process: Command) -> None:
    """Raise UserErrorException for arguments and variables that are no text: an engine takes JSON."""
    check(process)
    for text in (*process.argv, *process.variables.values()):
        try:
            json.dumps(text, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UserErrorException(
                "An argument or variable is no text, which no container can be given",
                {"program": process.argv[0], "text": f"{text[:80]!r}"},
                "Pass the value in a file.",
            ) from None


def _bytes(size: str) -> int:
    """Return a size such as `2g` in bytes; 0 for ''."""
    if not size:
        return 0
    from docker.utils import parse_bytes

    return int(parse_bytes(size.replace(" ", "")))


def _out_of_memory(spec: ContainerSpec, end: ContainerExit) -> bytes:
    limit = spec.settings["HostConfig"].get("Memory")
    words = f"more than its {limit / (1 << 20):g} MiB of memory" if limit else "more memory than there is"
    return f"Killed after {end.seconds:.1f} s: the step used {words}\n".encode()


def _not_in_image(program: str, image: str, code: int) -> StepFailedException:
    problem = "was not found" if code == 127 else "may not be executed"
    return StepFailedException(
        f"The program {program!r} {problem} in the image {image!r}",
        {"program": program, "image": image},
        "Name an image that has it, or correct the program's name.",
    )
