"""How versions of modules are published: a snapshot is kept, with what of it runs and its ports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any
from uuid import uuid4

from stepwell.blocks.arguments.callers import folder_of_caller
from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.compute_target import name_of
from stepwell.blocks.server import documents
from stepwell.blocks.source.snapshot import source_tree
from stepwell.blocks.store.claims import claim, disclaim
from stepwell.blocks.system.locks import exclusive, shared
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import ModuleBlock, ModuleVersionBlock, check_name
from stepwell.errors import UserErrorException
from stepwell.flows.catalog.module_version import ModuleVersion
from stepwell.flows.catalog.port_definitions import InputPortDef, OutputPortDef, plain_argument, plain_ports
from stepwell.flows.publishing.publish import share_snapshots
from stepwell.flows.steps.argument_types import Configuration, Plain, Target
from stepwell.flows.steps.settings import environment_of, refuse_notebook, usual_folder

_PYTHON = "escloud"
"""v1's name of the execution type that is a Python script, in small letters."""

ModuleArgument = Plain | InputPortDef | OutputPortDef


@checked
class ModulePublishing:
    """The methods of a `Module` that add versions to it."""

    workspace: BaseWorkspace
    block: ModuleBlock

    def versions(self) -> Sequence[ModuleVersion]:
        """Return the versions that there are."""
        raise NotImplementedError

    def _change(self, **facts: Any) -> None:
        raise NotImplementedError

    def publish_python_script(
        self,
        script_name: str,
        description: str,
        inputs: Sequence[InputPortDef],
        outputs: Sequence[OutputPortDef],
        params: Mapping[str, Any] | None = None,
        create_sequencing_ports: bool = True,
        version: str | None = None,
        is_default: bool = False,
        source_directory: str | PurePath | None = None,
        hash_paths: Sequence[str | PurePath] | None = None,
        category: str | None = None,
        arguments: Sequence[ModuleArgument] | None = None,
        runconfig: Configuration | None = None,
    ) -> ModuleVersion:
        """Keep a Python script with its source directory, as they are now, as a version.

        Args:
            script_name: The script's path in the source directory.
            description: What it does.
            inputs: The ports of what it reads.
            outputs: The ports of what it writes.
            params: Parameters and their defaults; the script finds each in `AML_PARAMETER_<name>`.
            create_sequencing_ports: Accepted for v1's sake; every step can wait for others.
            version: Any text; by default the next number.
            is_default: Whether it becomes the default version.
            source_directory: The folder of the script; by default that of the file that calls, else the current directory.
            hash_paths: Files and folders of the source directory whose content counts too.
            category: What sort of module it is, for people.
            arguments: The script's arguments: texts, numbers and ports, which become paths; a step may replace them.
            runconfig: A RunConfiguration, whose environment is that of the module's steps.

        Returns:
            The version.

        Raises:
            UserErrorException: The script is not there, or the version is taken.
            SnapshotException: The source directory can't be read.
        """
        refuse_notebook(script_name)
        facts = {"description": description, "hash_paths": hash_paths, "category": category, "arguments": arguments}
        return self._publish(
            "python",
            script_name,
            _folder(source_directory, script_name),
            (inputs, outputs),
            {**facts, "params": params, "version": version, "environment": _environment(runconfig)},
            is_default=is_default,
        )

    def publish(
        self,
        description: str,
        execution_type: str,
        inputs: Sequence[InputPortDef],
        outputs: Sequence[OutputPortDef],
        param_defs: Mapping[str, Any] | Sequence[Any] | None = None,
        create_sequencing_ports: bool = True,
        version: str | None = None,
        is_default: bool = False,
        content_path: str | PurePath | None = None,
        hash_paths: Sequence[str | PurePath] | None = None,
        category: str | None = None,
        arguments: Sequence[ModuleArgument] | None = None,
        runconfig: Configuration | None = None,
        *,
        script_name: str | None = None,
    ) -> ModuleVersion:
        """Keep a script as a version, as `publish_python_script` does, of what v1 calls an execution type.

        Args:
            description: What it does.
            execution_type: `esCloud`, v1's word for a Python script.
            inputs: The ports of what it reads.
            outputs: The ports of what it writes.
            param_defs: Parameters: a mapping to their defaults, or objects with `name` and `default_value`.
            create_sequencing_ports: Accepted for v1's sake; every step can wait for others.
            version: Any text; by default the next number.
            is_default: Whether it becomes the default version.
            content_path: The folder of the script.
            hash_paths: Files and folders of it whose content counts too.
            category: What sort of module it is, for people.
            arguments: The script's arguments.
            runconfig: A RunConfiguration, whose environment and, if `script_name` is missing, script are the version's.
            script_name: The script's path in the folder.

        Returns:
            The version.

        Raises:
            UserErrorException: The type is another, no script is named, or as `publish_python_script` does.
        """
        if execution_type.lower() != _PYTHON:
            raise UserErrorException(
                f"A module of the execution type {execution_type!r} can't be published by `publish`",
                hint="Use `publish_python_script`, `publish_adla_script` or `publish_azure_batch`.",
            )
        script = script_name or getattr(runconfig, "script", None)
        if not script:
            raise UserErrorException("`publish` needs the module's script", hint="Pass `script_name=`.")
        given = param_defs or {}
        params = given if isinstance(given, Mapping) else {one.name: one.default_value for one in given}
        return self.publish_python_script(
            str(script),
            description,
            inputs,
            outputs,
            params,
            version=version,
            is_default=is_default,
            source_directory=content_path,
            hash_paths=hash_paths,
            category=category,
            arguments=arguments,
            runconfig=runconfig,
        )

    def publish_adla_script(
        self,
        script_name: str,
        description: str,
        inputs: Sequence[InputPortDef],
        outputs: Sequence[OutputPortDef],
        params: Mapping[str, Any] | None = None,
        create_sequencing_ports: bool = True,
        degree_of_parallelism: int | None = None,
        priority: int | None = None,
        runtime_version: str | None = None,
        compute_target: Target | None = None,
        version: str | None = None,
        is_default: bool = False,
        source_directory: str | PurePath | None = None,
        hash_paths: Sequence[str | PurePath] | None = None,
        category: str | None = None,
        arguments: Sequence[ModuleArgument] | None = None,
    ) -> ModuleVersion:
        """Keep a U-SQL script with its source directory as a version, whose steps are as an `AdlaStep`.

        Args:
            script_name: The script's path in the source directory.
            description: What it does.
            inputs: The ports of what it reads: `@@<name>@@` in the script.
            outputs: The ports of what it writes: `@@<name>@@` in the script.
            params: Parameters and their defaults: `@@<name>@@` in the script.
            create_sequencing_ports: Accepted for v1's sake; every step can wait for others.
            degree_of_parallelism: As of `AdlaStep`.
            priority: As of `AdlaStep`.
            runtime_version: As of `AdlaStep`.
            compute_target: The target of steps that name none.
            version: Any text; by default the next number.
            is_default: Whether it becomes the default version.
            source_directory: The folder of the script; by default that of the file that calls, else the current directory.
            hash_paths: Files and folders of the source directory whose content counts too.
            category: What sort of module it is, for people.
            arguments: Accepted for v1's sake; a U-SQL script has none.

        Returns:
            The version.

        Raises:
            UserErrorException: The script is not there, or the version is taken.
            SnapshotException: The source directory can't be read.
        """
        settings = {
            "degree_of_parallelism": degree_of_parallelism,
            "priority": priority,
            "runtime_version": runtime_version,
            "compute_target": _target(compute_target),
        }
        facts = {"description": description, "hash_paths": hash_paths, "category": category}
        return self._publish(
            "adla",
            script_name,
            _folder(source_directory, script_name),
            (inputs, outputs),
            {**facts, "params": params, "version": version},
            is_default=is_default,
            settings={name: value for name, value in settings.items() if value is not None},
        )

    def publish_azure_batch(
        self,
        description: str,
        compute_target: Target,
        inputs: Sequence[InputPortDef],
        outputs: Sequence[OutputPortDef],
        params: Mapping[str, Any] | None = None,
        create_sequencing_ports: bool = True,
        version: str | None = None,
        is_default: bool = False,
        create_pool: bool = False,
        pool_id: str | None = None,
        delete_batch_job_after_finish: bool = False,
        delete_batch_pool_after_finish: bool = False,
        is_positive_exit_code_failure: bool = True,
        vm_image_urn: str = "urn:MicrosoftWindowsServer:WindowsServer:2012-R2-Datacenter",
        run_task_as_admin: bool = False,
        target_compute_nodes: int = 1,
        vm_size: str = "standard_d1_v2",
        executable: str | None = None,
        source_directory: str | PurePath | None = None,
        category: str | None = None,
        arguments: Sequence[ModuleArgument] | None = None,
    ) -> ModuleVersion:
        """Keep a program with its source directory as a version, whose steps are as an `AzureBatchStep`.

        Args:
            description: What it does.
            compute_target: The target of steps that name none.
            inputs: The ports of what it reads.
            outputs: The ports of what it writes.
            params: Refused, unless empty: programs get arguments.
            create_sequencing_ports: Accepted for v1's sake; every step can wait for others.
            version: Any text; by default the next number.
            is_default: Whether it becomes the default version.
            create_pool: As of `AzureBatchStep`.
            pool_id: As of `AzureBatchStep`.
            delete_batch_job_after_finish: As of `AzureBatchStep`.
            delete_batch_pool_after_finish: As of `AzureBatchStep`.
            is_positive_exit_code_failure: As of `AzureBatchStep`.
            vm_image_urn: As of `AzureBatchStep`.
            run_task_as_admin: As of `AzureBatchStep`.
            target_compute_nodes: As of `AzureBatchStep`.
            vm_size: As of `AzureBatchStep`.
            executable: The program's path in the source directory.
            source_directory: The folder of the program.
            category: What sort of module it is, for people.
            arguments: The program's arguments: texts, numbers and ports, which become paths; a step may replace them.

        Returns:
            The version.

        Raises:
            UserErrorException: The program is not there, or the version is taken.
            SnapshotException: The source directory can't be read.
        """
        if not executable:
            raise UserErrorException("A module for Azure Batch needs a program", hint="Pass `executable=`.")
        if params:
            raise UserErrorException("A module for Azure Batch has no parameters", hint="Pass `arguments` instead.")
        settings = {
            "create_pool": create_pool,
            "pool_id": pool_id,
            "is_positive_exit_code_failure": is_positive_exit_code_failure,
            "run_task_as_admin": run_task_as_admin,
            "target_compute_nodes": target_compute_nodes,
            "compute_target": _target(compute_target),
        }
        facts = {"description": description, "category": category, "arguments": arguments, "version": version}
        return self._publish(
            "azure_batch",
            executable,
            None if source_directory is None else Path(source_directory).absolute(),
            (inputs, outputs),
            facts,
            is_default=is_default,
            settings={name: value for name, value in settings.items() if value is not None},
        )

    def _publish(
        self,
        kind: str,
        script: str,
        folder: Path | None,
        ports: tuple[Iterable[InputPortDef], Iterable[OutputPortDef]],
        facts: Mapping[str, Any],
        *,
        is_default: bool,
        settings: Mapping[str, Any] | None = None,
    ) -> ModuleVersion:
        inputs, outputs = plain_ports(*ports)
        known = {port["name"] for port in (*inputs, *outputs)}
        arguments = [plain_argument(one) for one in facts.get("arguments") or ()]
        for one in arguments:
            if isinstance(one, dict) and one["port"] not in known:
                raise UserErrorException(
                    f"The argument {one['port']!r} is no port of the module", hint="Add it to `inputs` or `outputs`."
                )
        store, version_id = self.workspace.store, str(uuid4())
        block = ModuleVersionBlock(
            version_id=version_id,
            module_id=documents.newest(self.block, f"module {self.block.name!r}").module_id,
            workspace=self.workspace.name,
            version="",
            description=facts["description"] or "",
            created=time.time(),
            kind=kind,
            script=script,
            arguments=arguments,
            inputs=inputs,
            outputs=outputs,
            params=dict(facts.get("params") or {}),
            hash_paths=[str(path) for path in facts.get("hash_paths") or ()],
            environment=facts.get("environment"),
            settings=dict(settings or {}),
            category=facts.get("category") or "",
        )
        with shared(store.lock_file):  # a collector must not see a snapshot that nothing claims yet
            if folder is not None:
                with store.digests.under(folder) as digest_file:
                    tree = source_tree(folder, digest_file)
                store.add_tree(folder, tree, move=False)
                block.snapshot = tree.digest
                claim(store, block.claim, {"name": self.block.name, "snapshots": {str(folder): tree.digest}})
            try:
                share_snapshots(self.workspace, [block.snapshot] if block.snapshot else [])
                with modules_locked(self.workspace):
                    block.version = self._free_version(facts.get("version"))
                    documents.save(block, block.document)
            except BaseException:
                disclaim(store, block.claim)
                raise
        if is_default:
            self._change(default_version=block.version)
        return ModuleVersion(self.workspace, block)

    def _free_version(self, wanted: object) -> str:
        taken = [one.version for one in self.versions()]
        if wanted is None:
            return str(documents.take_version(self.workspace.name, "module", self.block.module_id, taken))
        version = check_name(str(wanted), "version")
        if version in taken:
            raise UserErrorException(
                f"The module {self.block.name!r} has a version {version!r} already",
                {"versions": ", ".join(taken)},
                "Choose another version, or leave `version` out for the next number.",
            )
        return version


@contextmanager
def modules_locked(workspace: BaseWorkspace) -> Iterator[None]:
    """Keep other processes of this machine from changing the workspace's modules while the block runs."""
    with exclusive(workspace.store.written / "modules.lock"):
        yield


def _target(target: Any) -> str | None:
    return None if target is None else str(target[0]) if isinstance(target, tuple) else name_of(target)


def _folder(source_directory: str | PurePath | None, script: str) -> Path:
    folder = Path(source_directory) if source_directory else usual_folder(script, folder_of_caller())
    if not (folder / script).is_file():
        title = f"The module's script is not at {folder / script}"
        raise UserErrorException(title, hint="Correct its name, or pass `source_directory=`.")
    return folder.absolute()


def _environment(runconfig: Any) -> dict[str, Any] | None:
    return None if runconfig is None else environment_of(runconfig, None, {}).to_json()
