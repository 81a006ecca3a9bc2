"""URLs of datastores on local file systems: which folder they name, the same in every process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import fsspec

from stepwell.errors import DatastoreException

_PLACES = ("endpoint", "url", "host", "port", "account_name", "project", "base", "repo", "org")
"""Words in the names of options that say where something is."""

_LOCAL = re.compile("(?:file|local):(//)?", re.IGNORECASE)


def local_path(url: str) -> str | None:
    """Return the path that a URL, or a path without a scheme, names on this machine; None if it names something else."""
    scheme = _LOCAL.match(url)
    if scheme is None:
        return None if "://" in url or "::" in url else url
    return None if "::" in url else url[scheme.end() :]


def absolute_url(url: str) -> str:
    """Return the URL with a local path made absolute; raise DatastoreException if it could mean several places."""
    try:
        has_password = bool(urlsplit(url).password)
    except ValueError as error:
        raise _refused(url, str(error)) from error
    if has_password:
        raise DatastoreException(
            "A datastore's URL can't hold a password", hint="Pass it in `options`, which are secret."
        )
    if "::" in url:
        _check_chain(url)
        return url
    path = local_path(url)
    if not path:
        return url if path is None or not url else _refuse(url, "it has no path")
    scheme = url.removesuffix(path)
    host, slash, rest = path.partition("/")
    if scheme.endswith("//") and host not in ("", ".", "..") and not host.startswith("~"):
        if host.lower() != "localhost" or not slash:
            _refuse(url, f"{host!r} would be the name of a machine")
        path = slash + rest
    return scheme + os.path.abspath(os.path.expanduser(path))


def _check_chain(url: str) -> None:
    """Raise DatastoreException if a part of a chained URL is a path that depends on where a process works."""
    for part in url.split("::"):
        path = local_path(part)
        if path and not os.path.isabs(path) and part not in fsspec.available_protocols():
            _refuse(url, f"{part!r} is relative")


def _refuse(url: str, reason: str) -> str:
    raise _refused(url, reason)


def _refused(url: str, reason: str) -> DatastoreException:
    hint = "Write a URL with the whole path, as in file:///data."
    return DatastoreException("The URL can't be that of a datastore", {"url": url, "reason": reason}, hint)


# Options ----------------------------------------------------------------------------------------------------------------


def options_of_this_machine(url: str) -> dict[str, str]:
    """Return the options that v1 has in a compute target, and Databricks' own tools in the environment."""
    names = {"instance": "DATABRICKS_HOST", "token": "DATABRICKS_TOKEN"} if url.startswith("dbfs://") else {}
    found = {option: os.environ.get(variable, "") for option, variable in names.items()}
    return {option: text.removeprefix("https://").rstrip("/") for option, text in found.items() if text}


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in lists and dictionaries of options."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from texts_in(inner)


def what_names_a_place(options: Mapping[str, Any]) -> list[str]:
    """Return what of the options tells which store is meant, as opposed to what opens it, which changes often."""
    found = []
    for name, value in sorted(options.items()):
        if isinstance(value, Mapping):
            found += [f"{name}.{text}" for text in what_names_a_place(value)]
        elif name == "connection_string":
            parts = [part for part in str(value).split(";") if part.startswith(("AccountName=", "BlobEndpoint="))]
            found += sorted(parts)
        elif any(word in name for word in _PLACES):
            found.append(f"{name}={value}")
    return found
