"""Where datastores really stand: a table outside the code can lay one that Azure has on a folder or database of one's own.

The table is the workspace's, or, before that, `STEPWELL_DATASTORES`: JSON, or the path of a file that holds it. Its keys are
names of datastores, `account/container` (`server/database`), URLs, or `*` for all that v1's methods registered; its values are
folders or URLs. What `*` names is a folder that gets one for each `account/container`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stepwell.blocks.datastores.datastore_urls import absolute_url, local_path
from stepwell.errors import DatastoreException
from stepwell.model.names import folder_name
from stepwell.model.regular_files import read_text

_STORAGE = re.compile(r"([^.]+)\.(?:blob|dfs|file)\.core\.")
VARIABLE = "STEPWELL_DATASTORES"
_HINT = f'Write {VARIABLE} as \'{{"name or account/container": "/folder"}}\', or as the path of a file that holds such JSON.'


def place_of(
    name: str, url: str, facts: Mapping[str, object], table: Mapping[str, str], *, tables: bool = False
) -> str:
    """Return where a datastore stands by the tables outside the code; '' if they leave it where its URL says.

    Args:
        name: The datastore's name.
        url: The URL that it was registered with.
        facts: What it was registered with by v1's methods; empty if by its URL.
        table: The workspace's own table.
        tables: Whether it holds tables instead of files.

    Raises:
        DatastoreException: `STEPWELL_DATASTORES` can't be read, or leaves open which folder it means.
    """
    owner = facts.get("account_name") or facts.get("server_name") or facts.get("store_name") or ""
    inner = facts.get("container_name") or facts.get("database_name") or ""
    identity = "/".join(str(part) for part in (owner, inner) if part)
    for known in (_of_environment(), table):
        for key in (name, identity, url):
            if key and key in known:
                return _database(known[key]) if tables else known[key]
        if facts and "*" in known:
            parts = "/".join(folder_name(part) for part in (identity or name).split("/"))
            place = f"{known['*'].rstrip('/')}/{parts}"
            return _database(f"{place}.db") if tables else place
    return ""


def place_of_address(address: str, table: Mapping[str, str]) -> str:
    """Return where a file of the web stands by the tables outside the code; '' if they leave it there.

    Their keys for it: an address, that of a folder too, `account/container` of Azure's storage, and `*` for all of that.
    """
    parts = urlsplit(address)
    path = unquote(parts.path).strip("/")
    whole = f"{parts.scheme}://{parts.netloc}/{path}"
    account = _STORAGE.match(parts.hostname or "")
    identity = f"{account[1]}/{path}" if account and "/" in path else ""
    for known in (_of_environment(), table):
        for name in (whole, identity):
            for key in sorted(known, key=len, reverse=True):
                if name and f"{name}/".startswith(f"{key.rstrip('/')}/") and key.count("/"):
                    return "/".join(filter(None, (known[key].rstrip("/"), name[len(key.rstrip("/")) :].strip("/"))))
        if identity and "*" in known:
            return f"{known['*'].rstrip('/')}/{'/'.join(folder_name(part) for part in identity.split('/'))}"
    return ""


def _database(place: str) -> str:
    """Return the URL of SQLAlchemy for a database; a path is that of a file of SQLite."""
    path = local_path(place)
    return place if path is None else f"sqlite:///{path}"


def checked_place(place: str) -> str:
    """Return the folder or URL with a local path made absolute; raise DatastoreException if it can't be one's place."""
    return place if local_path(place) is None else absolute_url(place)


def _of_environment() -> dict[str, str]:
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return {}
    written = given.startswith("{")
    try:
        found = json.loads(given if written else read_text(Path(given).expanduser()))
        if not isinstance(found, dict) or not all(isinstance(place, str) for place in found.values()):
            raise ValueError("it is no object of texts")  # noqa: TRY301  (as what is no JSON)
    except (OSError, ValueError, RecursionError) as error:
        facts = {"variable": VARIABLE, "reason": error}
        raise DatastoreException("The table of datastores' places can't be read", facts, _HINT) from error
    base = "" if written else os.path.dirname(os.path.abspath(os.path.expanduser(given)))
    return {key: _absolute(key, place, base) for key, place in found.items()}


def _absolute(key: str, place: str, base: str) -> str:
    """Return the place, its path relative to the file that names it; text of a variable names whole paths."""
    path = local_path(place)
    if path is None or os.path.isabs(os.path.expanduser(path)):
        return checked_place(place)
    if not base:
        facts = {"variable": VARIABLE, "datastore": key, "path": place}
        raise DatastoreException("A relative path means another folder in each process", facts, "Write the whole path.")
    return os.path.join(base, path)
