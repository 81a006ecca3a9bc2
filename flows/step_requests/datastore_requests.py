"""Requests about datastores: what they are, their files, and files for them."""

from __future__ import annotations

import os

from stepwell.blocks.datastores.datastore_files import PRIVATE
from stepwell.blocks.datastores.delivery import Overwrite
from stepwell.blocks.datastores.delivery import upload as put
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.flows.step_requests.asking import Answer, Asker, Sent
from stepwell.model.definitions import DataSource
from stepwell.model.digests import file_digest


def get(asker: Asker, *, name: str | None = None) -> Answer:
    """Return name, type and URL of a datastore, without what opens it; by default of the default one."""
    datastore = _datastore(asker, name)
    default = datastore.name == asker.host.workspace.default_datastore_name
    facts = {"name": datastore.name, "type": datastore.datastore_type, "url": datastore.url, "is_default": default}
    return Answer(facts)


def list_all(asker: Asker) -> Answer:
    """Return the names of all datastores, and which is the default one."""
    workspace = asker.host.workspace
    return Answer({"datastores": sorted(workspace.datastores), "default": workspace.default_datastore_name})


def exists(asker: Asker, *, name: str | None = None, path: str = "") -> Answer:
    """Return whether something is at a path."""
    return Answer(_datastore(asker, name).exists(path))


def files(asker: Asker, *, name: str | None = None, prefix: str | None = None) -> Answer:
    """Return the paths of all files that begin with `prefix`."""
    return Answer(list(_datastore(asker, name).files(prefix)))


def download(asker: Asker, *, name: str | None = None, prefix: str | None = None) -> Answer:
    """Provide a folder with copies of all files whose paths begin with `prefix`, under their paths."""
    datastore = _datastore(asker, name)
    assert asker.folder
    folder, identity = asker.folder() / "files", list[list[str]]()
    folder.mkdir()
    for path in _names(datastore, prefix):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        datastore.get_file(path, target)
        with target.open("rb") as stream:
            identity.append([path, file_digest(stream)])
    return Answer({"files": [path for path, _ in identity]}, folder, identity)


def download_again(asker: Asker, *, name: str | None = None, prefix: str | None = None) -> Answer:
    """Return what identifies the files whose paths begin with `prefix`, and copy none."""
    host, datastore = asker.host, _datastore(asker, name)
    identity = []
    for path in _names(datastore, prefix):
        root = datastore.local_root
        place = os.path.realpath(root / path if root else host.fetched(DataSource(datastore.name, path)))
        identity.append([path, host.store.digests.digest_file(place, os.stat(place))])
    return Answer(identity=identity)


def upload(
    asker: Asker, sent: Sent, *, name: str | None = None, target: str = "", overwrite: Overwrite = False
) -> Answer:
    """Put the file, or what is in the folder, that the script gives to a folder of the datastore; return the paths."""
    datastore = _datastore(asker, name)
    root = sent.path if sent.path.is_dir() else sent.path.parent
    names = sorted(
        os.path.relpath(os.path.join(folder, file), root)
        for folder, _, found in os.walk(root)
        for file in found
        if sent.path.is_dir() or file == sent.path.name
    )
    placed = {datastore.inside(f"{target}/{path}".lstrip("/")): root / path for path in names}
    found = put(datastore, placed, overwrite, only_look=asker.rehearses)
    skipped = sorted(found.stayed)
    return Answer({"uploaded": sorted(found.done), "skipped": skipped, "told": [found.told(path) for path in skipped]})


# ----------------------------------------------------------------------------------------------------------------------


def _datastore(asker: Asker, name: str | None) -> Datastore:
    datastore = Datastore(asker.host.workspace, name)
    datastore.require_here()
    asker.host.hide(datastore.secrets)
    return datastore


def _names(datastore: Datastore, prefix: str | None) -> list[str]:
    return [path for path in datastore.files(prefix) if path.split("/")[0] != PRIVATE]
