"""Keys of files of parameters, such as `train.rate`: found, left alone in a file without the others, given other values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from pathlib import PurePath
from typing import Any

import yaml

from stepwell.errors import UserErrorException

_KEY = re.compile(r"\w[\w-]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def leaves(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the value of each key, such as `train.rate`; what has keys that can't be named so is one value itself."""
    if _is_section(data):
        for key, value in data.items():
            yield from leaves(value, f"{name}.{key}" if name else key)
    elif name:
        yield name, data


def _is_section(data: Any) -> bool:
    return isinstance(data, Mapping) and bool(data) and all(isinstance(k, str) and _KEY.fullmatch(k) for k in data)


def at(data: Any, key: str, path: PurePath) -> Any:
    """Return what stands at a key; '' is all. Raise UserErrorException if nothing does."""
    found = data
    for name in filter(None, key.split(".")):
        if not _is_section(found) or name not in found:
            known = [one for one, _ in leaves(data)]
            shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
            raise UserErrorException(
                f"{path} has no key {key!r}", {"keys": shown or "none"}, "Correct the key, or write it into the file."
            )
        found = found[name]
    return found


def only(data: Any, keys: Iterable[str], values: Mapping[str, Any]) -> Any:
    """Return the data with these keys alone, in their order there, and the given values in place of those that differ."""
    wanted = tuple(keys)

    def kept(found: Any, name: str) -> Any:
        if not _is_section(found):
            return values.get(name, found)
        inner = {key: (value, f"{name}.{key}" if name else key) for key, value in found.items()}
        return {key: kept(value, path) for key, (value, path) in inner.items() if any(_meet(path, w) for w in wanted)}

    return kept(data, "")


def _meet(path: str, key: str) -> bool:
    """Return whether one of two keys is the other, or above it."""
    return not key or path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")


def is_below(name: str, keys: Iterable[str]) -> bool:
    """Return whether a key is one of these, or below one."""
    return any(not key or name == key or name.startswith(f"{key}.") for key in keys)


def written(path: PurePath, data: Any) -> bytes:
    """Return the data as a file of the kind that the path names."""
    kind = path.suffix.lower()
    if kind == ".json":
        return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()
    if kind == ".toml":
        return "\n".join((*_toml(data, ()), "")).lstrip("\n").encode()
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode()  # type: ignore[no-any-return]


# TOML, for which the standard library has a reader only ------------------------------------------------------------------


def _toml(data: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a table: its values, and then the tables in it."""
    if above:
        yield f"\n[{'.'.join(map(_toml_key, above))}]"
    yield from (f"{_toml_key(key)} = {_toml_value(v)}" for key, v in data.items() if not isinstance(v, Mapping))
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _toml(value, (*above, key))


def _toml_key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _toml_text(key)


def _toml_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_value(value: Any) -> str:
    if isinstance(value, str):
        return _toml_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_toml_key(key)} = {_toml_value(item)}' for key, item in value.items())}}}"
    return value.isoformat() if isinstance(value, (date, time)) else repr(value)
