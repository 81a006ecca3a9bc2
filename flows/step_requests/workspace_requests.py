"""Requests about the workspace itself: its facts, its environments, its secrets."""

from __future__ import annotations

from stepwell.blocks.environments import registry
from stepwell.blocks.workspace.keyvault import Keyvault
from stepwell.errors import EnvironmentException, UserErrorException
from stepwell.flows.step_requests.asking import Answer, Asker
from stepwell.model.redaction import redacted

_PASSING = ("creationTime", "changeTime", "discoveryUrl")
"""Facts of the workspace that change with whatever is saved of it, or with the server's address: no result depends on them."""


def details(asker: Asker) -> Answer:
    """Return the facts of the workspace, without secrets."""
    workspace = asker.host.workspace
    facts = {**workspace.get_details(), "default_datastore": workspace.default_datastore_name}
    known = {name: redacted(value, asker.host.redactor.redact) for name, value in facts.items()}
    return Answer(known, identity={name: value for name, value in known.items() if name not in _PASSING})


def environment(asker: Asker, *, name: str, version: int | str | None = None) -> Answer:
    """Return a version of a registered environment, by default the latest, its secrets masked."""
    found = registry.versions_of(asker.host.workspace, name)
    block = registry.latest_of(block for block in found if version is None or str(block.version) == str(version))
    if block is None:
        facts = {"name": name, "version": version or "any"}
        raise EnvironmentException("There is no such environment in the workspace", facts, "Register it first.")
    content = redacted(block.content.get_secret_value(), asker.host.redactor.redact)
    shown = {"name": block.name, "version": block.version, "content": content}
    return Answer(shown, identity=[block.version, block.digest], words=f"version {block.version}")


def secret(asker: Asker, *, name: str) -> Answer:
    """Return the value of a secret of the workspace's own, which is masked in logs from now on."""
    vault = Keyvault(asker.host.workspace)
    if name.lower() not in {
        secret["name"].lower() for secret in vault.list_secrets()
    }:  # Prefect's others are no step's
        raise UserErrorException(
            f"There is no secret {name!r} in the key vault of workspace {asker.host.workspace.name!r}",
            {"asked for by": asker.step},
            f"Keep it with `ws.get_default_keyvault().set_secret({name!r}, …)`.",
        )
    value = vault.get_secret(name)
    asker.host.hide((), [value])
    return Answer(value, identity=asker.host.store.keyed("secret of a workspace", [name, value]))


def secrets(asker: Asker) -> Answer:
    """Return the names of the secrets of the workspace's own."""
    names = [secret["name"] for secret in Keyvault(asker.host.workspace).list_secrets()]
    return Answer(names, identity=names)
