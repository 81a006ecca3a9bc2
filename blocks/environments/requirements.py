"""Lines for pip, read without pip: in one spelling each, with what they ask for in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from stepwell.errors import UserErrorException
from stepwell.model.digests import bytes_digest
from stepwell.model.fingerprint import CONTENT
from stepwell.model.regular_files import read_bytes, read_text

REPLACED = "azureml"
"""Packages of that name, and those that begin with it and a dash, are not installed: Stepwell stands in for them."""

_OF_THE_SERVICE = frozenset(("inference-schema", "azure-cli-ml", "azure-ml-api-sdk", "azure-ml-component"))
"""Packages that serve models on Azure, or call its service: no step of a pipeline needs them here, and they hold others back."""

_ARCHIVES = (".whl", ".tar.gz", ".tar.bz2", ".zip")
_NAMED = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(.*)", re.DOTALL)
_REST = re.compile(r"(?:$|[;@(]|--|[=!<>~]=|===|[<>])")
_USER_INFO = re.compile(r"(?<=://)[^\s/?#]+@")
_DEEPEST = 10
_MOST_FILES = 500


@dataclass(frozen=True, slots=True)
class Requirements:
    """Requirement and option lines, each in one spelling, and the package index that they name ('' for pip's own)."""

    lines: tuple[str, ...]
    index_url: str = ""


class Requirement(NamedTuple):
    """A distribution's normalised `name` ('' for an option) and what is `asked` of it, such as `1.2`, `>=2` or `any`."""

    name: str
    asked: str


def read_requirements(lines: Iterable[str], folder: Path) -> Requirements:
    """Return what a requirements file in `folder` asks for; raise UserErrorException for lines that can't be kept.

    Files that `-r` names are read in; paths of archives become absolute.
    """
    found: list[str] = []
    index_url = ""
    for line in _expanded(lines, folder):
        option, value = _option(line)
        if option in ("-i", "--index-url"):
            index_url = value
        elif option:
            found.append(_normalized_option(option, value, folder))
        else:
            found.append(_normalized(line, folder))
    return Requirements(tuple(dict.fromkeys(line for line in found if not _is_replaced(line))), index_url)


def requirement(line: str) -> Requirement:
    """Return what a line of `Requirements` asks for, without anything secret."""
    if line.startswith("-"):
        option, value = _option(line)
        return Requirement("", f"{option} {without_user_info(value)}".strip())
    if "://" in line.partition("@")[0]:
        return Requirement(without_user_info(line), "any")
    name, extras, rest = _parts(line)
    wanted, _, marker = rest.partition(";")
    if rest.startswith("@"):
        wanted, marker = without_user_info(rest.removeprefix("@").strip()), ""
        wanted = _content(wanted) if wanted.startswith("file:") else wanted
    else:
        exact = re.fullmatch(r"==([^*,=<>!~]+)", wanted)
        wanted = exact[1] if exact else wanted or "any"
    words = (wanted, f"[{extras}]" if extras else "", f"if {marker.strip()}" if marker else "")
    return Requirement(normal(name), " ".join(filter(None, words)))


def asked_for(lines: Iterable[str]) -> dict[str, str]:
    """Return what is asked of each distribution, by name, sorted; options stand under ''."""
    found: dict[str, list[str]] = {}
    for line in lines:
        name, asked = requirement(line)
        found.setdefault(name, []).append(asked)
    return {name: ", ".join(sorted(demands)) for name, demands in sorted(found.items())}


def without_user_info(text: str) -> str:
    """Return the text with no user and no password in its URLs."""
    return _USER_INFO.sub("", text)


def normal(name: str) -> str:
    """Return a distribution's name in lower case, with `-` between words."""
    return re.sub(r"[-_.]+", "-", name).lower()


# ------------------------------------------------------------------------------------------------------------------------


def _expanded(lines: Iterable[str], folder: Path, depth: int = 0, read: list[Path] | None = None) -> Iterator[str]:
    """List the lines without comments, those of files that they name included; `read` are all of those so far."""
    read = [] if read is None else read
    text = re.sub(r"\\\n", " ", "\n".join(str(line) for line in lines))
    for whole in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", whole).strip()
        option, value = _option(line)
        if option not in ("-r", "--requirement"):
            yield from [line] if line else ()
            continue
        file = folder / value
        try:
            inner = read_text(file).splitlines()
        except OSError as error:
            facts = {"file": file, "reason": error.strerror}
            raise UserErrorException("A file of requirements can't be read", facts, "Correct its path.") from error
        read.append(file)
        if depth >= _DEEPEST or len(read) > _MOST_FILES:
            raise UserErrorException("Files of requirements name each other", {"file": file}, "Untie them.")
        yield from _expanded(inner, file.parent, depth + 1, read)


def _option(line: str) -> tuple[str, str]:
    match = re.match(r"(-[a-zA-Z]|--[\w-]+)(?:[\s=]+|$)(.*)", line) or re.match(r"(-[a-zA-Z])(\S.*)", line)
    return (match[1], match[2].strip()) if match else ("", "")


def _normalized_option(option: str, value: str, folder: Path) -> str:
    if option in ("-e", "--editable"):
        raise _folder_error(value)
    if option in ("-c", "--constraint"):
        raise UserErrorException(
            "Constraints are not read", {"file": value}, "Name the versions among the requirements themselves."
        )
    if option in ("-f", "--find-links"):
        return f"--find-links {value if '://' in value else (folder / value).absolute()}"
    return f"{option} {value}".strip()


def _normalized(line: str, folder: Path) -> str:
    if "://" in line.partition("@")[0] and not line.startswith("file:"):
        return line
    path = unquote(urlsplit(line).path) if line.startswith("file:") else line
    if path.endswith(_ARCHIVES) and "@" not in path and "://" not in path:
        file = (folder / path).absolute()
        return f"{_of_archive(file.name)} @ {file.as_uri()}"
    if line.startswith((".", "/", "file:")) or (_NAMED.fullmatch(line) is None and "/" in line):
        raise _folder_error(line)
    name, extras, rest = _parts(line)
    if rest.startswith("@"):
        return f"{normal(name)}{f'[{extras}]' if extras else ''} @ {rest[1:].strip()}"
    return f"{normal(name)}{f'[{extras}]' if extras else ''}{rest}"


def _parts(line: str) -> tuple[str, str, str]:
    """Return name, extras and the rest, in one spelling."""
    match = _NAMED.fullmatch(line)
    if match is None or not _REST.match(match[3]):
        raise UserErrorException(
            "A requirement can't be read", {"requirement": without_user_info(line)}, "Write it as in 'numpy==2.4.6'."
        )
    name, extras, rest = match[1], ",".join(sorted(re.split(r"[\s,]+", (match[2] or "").strip(" ,")))), match[3]
    if rest.startswith("@"):
        return name, extras, rest
    versions, separator, more = rest.partition(";")
    versions, hashes, digests = versions.partition("--")
    wanted = ",".join(sorted(re.sub(r"[\s()]+", "", versions).strip(",").split(",")))
    return name, extras, wanted + (f" {hashes}{digests}" if hashes else "") + (f"; {more.strip()}" if separator else "")


def _of_archive(name: str) -> str:
    return normal(re.split(r"-(?=\d)", name, maxsplit=1)[0])


def _content(url: str) -> str:
    file = Path(unquote(urlsplit(url).path))
    try:
        return CONTENT + bytes_digest(read_bytes(file))
    except OSError as error:
        facts = {"file": file, "reason": error.strerror}
        raise UserErrorException("A package can't be read", facts, "Correct its path.") from error


def _folder_error(line: str) -> UserErrorException:
    return UserErrorException(
        "A folder can't be a requirement, since it would change under the environment",
        {"requirement": line},
        "Make a wheel of it with `pip wheel --no-deps`, and name that.",
    )


def _is_replaced(line: str) -> bool:
    name = "" if line.startswith("-") or "://" in line.partition("@")[0] else normal(_parts(line)[0])
    return name == REPLACED or name.startswith(REPLACED + "-") or name in _OF_THE_SERVICE
