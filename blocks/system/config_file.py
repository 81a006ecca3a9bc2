"""The config file that names a project's workspace: where it is looked for, and what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from stepwell.errors import UserErrorException
from stepwell.model.regular_files import read_text

CONFIG_NAMES = ("config.json", "project.json")
_FOLDERS = (".azureml", "aml_config", ".")


def check_workspace_name(name: str) -> None:
    """Raise UserErrorException if no workspace can have the name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{1,32}", name):
        raise UserErrorException(
            f"{name!r} can't name a workspace",
            hint="Use 2 to 33 letters, digits, '_' and '-', the first a letter or digit.",
        )


def config_text(workspace: str, subscription_id: str = "", resource_group: str = "") -> str:
    """Return the text of a config file that names the workspace."""
    facts = {"subscription_id": subscription_id, "resource_group": resource_group, "workspace_name": workspace}
    return json.dumps(facts, indent=4) + "\n"


def name_in(config: Path) -> str:
    """Return the workspace's name; raise UserErrorException if the file can't be read."""
    try:
        return str(json.loads(read_text(config))["workspace_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserErrorException(
            "A workspace's config file can't be read",
            {"file": config, "reason": error},
            "Write it with `ws.write_config()`.",
        ) from error


def fact_in(config: Path, key: str) -> str:
    """Return what the config file, which `name_in` could read, says besides the name; '' if it says nothing of it."""
    return str(json.loads(read_text(config)).get(key) or "")


def find_config(start: Path, names: tuple[str, ...] = CONFIG_NAMES) -> Path:
    """Return the file, or the nearest one of these names, folder by folder upwards; raise UserErrorException if there is none."""
    if start.is_file():
        return start
    folder = start.resolve()
    for place in (folder, *folder.parents):
        for inner in _FOLDERS:
            for name in names:
                if (place / inner / name).is_file():
                    return place / inner / name
    raise UserErrorException(
        "No workspace config was found",
        {"looked in": f"{folder} and its parents", "for": ".azureml/config.json, config.json"},
        "Write one with `Workspace.create(name, exist_ok=True).write_config()`.",
    )
