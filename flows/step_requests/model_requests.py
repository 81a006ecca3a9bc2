"""Requests about registered models."""

from __future__ import annotations

from typing import Any

from stepwell.blocks.workspace import models
from stepwell.errors import ModelNotFoundException, ModelPathNotFoundException, UserErrorException
from stepwell.flows.step_requests.asking import Answer, Asker, Sent
from stepwell.model.redaction import redacted
from stepwell.model.tree import scan

Texts = dict[str, str]
_HIDDEN = {"workspace", "block_type_slug"}


def find(
    asker: Asker,
    *,
    name: str | None = None,
    id: str | None = None,
    tags: list[Any] | None = None,
    properties: list[Any] | None = None,
    run_id: str | None = None,
    framework: str | None = None,
    version: int | str | None = None,
    all: bool = False,
) -> Answer:
    """Return the facts of the models that fit, the latest first; without `all` the first alone."""
    if id is not None:
        name, _, version = id.partition(":")
    found = models.find(
        asker.host.workspace, name, _marks(tags), _marks(properties), run_id, framework, version or None
    )
    shown = [_shown(block) for block in (found if all else found[:1])]
    return Answer({"models": shown}, words=_words([block.version for block in (found if all else found[:1])]))


def files(asker: Asker, *, name: str, version: int | str | None = None) -> Answer:
    """Provide the file or folder of a version of a model, by default of the latest."""
    block, store = _one(asker, name, version), asker.host.store
    if not store.tree_intact(block.digest):
        raise ModelPathNotFoundException(
            "The model's bytes are gone or damaged",
            {"model": f"{block.name}:{block.version}"},
            "Register it again from its source.",
        )
    identity = [block.version, block.digest]
    return Answer({"digest": block.digest}, store.bring(block.digest), identity, f"version {block.version}")


def files_again(asker: Asker, *, name: str, version: int | str | None = None) -> Answer:
    """Return what identifies a version of a model, without a look at its bytes."""
    block = _one(asker, name, version)
    return Answer(identity=[block.version, block.digest], words=f"version {block.version}")


def register(
    asker: Asker,
    sent: Sent,
    *,
    name: str,
    tags: Texts | None = None,
    properties: Texts | None = None,
    description: str | None = None,
    framework: str | None = None,
    framework_version: str | None = None,
    child_paths: list[str] | None = None,
) -> Answer:
    """Keep the file or folder that the script gives as the next version of a model, and return its facts."""
    host, call = asker.host, asker.call
    assert call
    facts = {
        **_masked(asker, tags=tags or {}, properties=properties or {}, description=description or ""),
        "framework": framework or "",
        "framework_version": framework_version or "",
        "run_id": host.run.run_id,
        "experiment": str(host.run.facts().get("experiment", "")),
        "step": call.definition.name,
        "inputs": {port: artifact.digest for port, artifact in call.inputs.items()},
    }
    if asker.rehearses:  # a repetition keeps nothing
        version = max((block.version for block in models.versions_of(host.workspace, name)), default=0) + 1
        known = {"version": version, "digest": scan(sent.path).digest, "file_name": sent.path.name, "created": 0.0}
        return Answer({"name": name, **facts, **known})
    return Answer(_shown(models.add_version(host.workspace, name, sent.path, facts, child_paths)))


def update(
    asker: Asker,
    *,
    name: str,
    version: int | str | None = None,
    tags: Texts | None = None,
    add_tags: Texts | None = None,
    remove_tags: list[str] | None = None,
    add_properties: Texts | None = None,
    description: str | None = None,
) -> Answer:
    """Change tags and description of a version of a model, add properties, and return its facts."""
    block = _one(asker, name, version)
    taken = sorted(set(add_properties or {}) & set(block.properties))
    if taken:
        raise UserErrorException(
            f"The model has a property {taken[0]!r} already", hint="Use a tag for what may change."
        )
    given = _masked(asker, tags=tags, add_tags=add_tags, add_properties=add_properties, description=description)
    kept = block.tags if tags is None else given["tags"]
    block.tags = {key: value for key, value in kept.items() if key not in (remove_tags or ())}
    block.tags |= given["add_tags"] or {}
    block.properties = {**block.properties, **(given["add_properties"] or {})}
    block.description = block.description if description is None else given["description"]
    if not asker.rehearses:
        models.save(block)
    return Answer(_shown(block))


def delete(asker: Asker, *, name: str, version: int | str) -> Answer:
    """Forget a version of a model."""
    block = _one(asker, name, version)
    if not asker.rehearses:
        models.forget(asker.host.workspace, block)
    return Answer()


# ----------------------------------------------------------------------------------------------------------------------


def _one(asker: Asker, name: str, version: int | str | None) -> models.ModelBlock:
    found = models.find(asker.host.workspace, name, version=version)
    if not found:
        asked = {"name": name, "version": version}
        raise ModelNotFoundException(
            "There is no such model in the workspace",
            {"workspace": asker.host.workspace.name, **{what: value for what, value in asked.items() if value}},
            "List the models with `stepwell models`, or register one.",
        )
    return found[0]


def _masked(asker: Asker, **facts: Any) -> dict[str, Any]:
    """Return what a script says of a model, without the secrets that it was told."""
    return {name: redacted(fact, asker.host.redactor.redact) for name, fact in facts.items()}


def _shown(block: models.ModelBlock) -> dict[str, Any]:
    shown: dict[str, Any] = block.model_dump(mode="json", exclude=_HIDDEN)
    return shown


def _marks(given: list[Any] | None) -> list[Any] | None:
    """Return names, and pairs of a name and a value, which JSON has as lists."""
    if given is None:
        return None
    for mark in given:
        if not isinstance(mark, str) and not (isinstance(mark, (list, tuple)) and len(mark) == 2):
            raise UserErrorException("A mark is a name, or a pair of a name and a value", {"given": repr(mark)[:80]})
    return [tuple(mark) if isinstance(mark, list) else mark for mark in given]


def _words(versions: list[int]) -> str:
    if not versions:
        return "not there"
    return f"version {versions[0]}" if len(versions) == 1 else f"{len(versions)} versions"
