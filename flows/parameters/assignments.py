"""Values of parameters as a command line gives them: `name=value`, files of values, and several values of a sweep."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import product
from typing import Any, NamedTuple, NoReturn

from stepwell.errors import UserErrorException
from stepwell.flows.parameters.file_keys import leaves
from stepwell.flows.parameters.parameter_files import SIGN, plain, read_parameter_file, split_target
from stepwell.flows.parameters.values import parse
from stepwell.model.definitions import ParameterDefinition

MOST_RUNS = 10_000
_ALIKE = 0.85
_BRACKETS = {"[": 1, "]": -1}


class Assignment(NamedTuple):
    """A value for a name: the text of a command line, or what a file holds."""

    name: str
    value: Any
    in_file: bool


def read_assignments(words: Iterable[str], known: Collection[str] | None = None) -> Iterator[Assignment]:
    """Yield what `name=value` and `@FILE` words say, in order; `known` are the names of parameters, None if that is not known.

    Of a section of a file that are its keys, such as `train.rate`. Where such are parameters, a file may have others, too.
    """
    for word in words:
        if word.startswith(SIGN):
            found = _in_file(word.removeprefix(SIGN), known)
            yield from (Assignment(name, value, in_file=True) for name, value in found.items())
            continue
        name, separator, text = word.partition("=")
        if not separator:
            raise UserErrorException(f"{word!r} assigns nothing", hint="Write -p name=value.")
        yield Assignment(name, text, in_file=False)


def _in_file(target: str, known: Collection[str] | None) -> dict[str, Any]:
    found = read_parameter_file(target)
    if known is not None and not any("." in name for name in known):
        for name, value in found.items():
            if isinstance(value, Mapping):
                _raise_section(target, name)
        return found
    keys = {key: plain(item) for name, value in found.items() for key, item in leaves(value, name)}
    if known is None:
        return keys
    lacking = [name for name in known if name not in keys]  # what looks like one of these is a mistake
    return {name: v for name, v in keys.items() if name in known or get_close_matches(name, lacking, 1, _ALIKE)}


def _raise_section(target: str, name: str) -> NoReturn:
    path, section = split_target(target)
    inner = f"{section}.{name}" if section else name
    raise UserErrorException(
        f"{name!r} in {path} is a section, and no parameter", hint=f"Name the section: -p @{path}:{inner}."
    )


def read_values(definitions: Iterable[ParameterDefinition], words: Iterable[str]) -> dict[str, Any]:
    """Return the values that the words say, in the types of the parameters; of one that is said twice the last counts."""
    known = {definition.name: definition for definition in definitions}
    return {one.name: _single(known.get(one.name), one) for one in read_assignments(words, known)}


def _single(definition: ParameterDefinition | None, one: Assignment) -> Any:
    several = isinstance(one.value, list) or (not one.in_file and "," in one.value)
    if several and definition is not None and not definition.secret and definition.type in ("int", "float", "bool"):
        raise UserErrorException(
            f"The parameter {one.name!r} is of type {definition.type}, and has several values",
            {"values": one.value},
            "Give it one, or run once with each by `stepwell run --sweep`.",
        )
    return _value(definition, one.value, in_file=one.in_file)


def _value(definition: ParameterDefinition | None, value: Any, *, in_file: bool) -> Any:
    is_text = not in_file or (isinstance(value, str) and definition is not None and definition.type != "str")
    return parse(definition, value) if is_text and definition is not None else value


def read_grid(definitions: Iterable[ParameterDefinition], words: Iterable[str]) -> list[dict[str, Any]]:
    """Return the values of each run of a sweep: every combination of what the words say, the last name changing fastest.

    Several values are `1,2,3`, or a list in a file; a list that is one value stands in brackets: `[1,2],[3]`.
    """
    known = {definition.name: definition for definition in definitions}
    choices: dict[str, list[Any]] = {}
    for one in read_assignments(words, known):
        definition = known.get(one.name)
        choices[one.name] = [_value(definition, item, in_file=one.in_file) for item in _items(one, definition)]
    count = 1
    for name, values in choices.items():
        if not values:
            raise UserErrorException(f"The parameter {name!r} has no value in the sweep", hint="Write one at least.")
        count *= len(values)
    if count > MOST_RUNS:
        raise UserErrorException(
            f"The sweep has {count:,} runs, and {MOST_RUNS:,} at most", hint="Leave some values out."
        )
    return _distinct(dict(zip(choices, values, strict=True)) for values in product(*choices.values()))


def _items(one: Assignment, definition: ParameterDefinition | None) -> list[Any]:
    if not one.in_file:
        return _split(one.value)
    if not isinstance(one.value, list):
        return [one.value]
    is_list = definition is not None and definition.type == "list"
    return [one.value] if is_list and not any(isinstance(item, list) for item in one.value) else one.value


def _split(text: str) -> list[str]:
    """Return the parts of a text between its commas, but for those in brackets and double quotes."""
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += 0 if quoted else _BRACKETS.get(letter, 0)
        if letter == "," and not quoted and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [_unquoted(part.strip()) for part in parts] if len(parts) > 1 else [text]


def _unquoted(part: str) -> str:
    return part[1:-1] if len(part) > 1 and part[0] == part[-1] == '"' else part


def _distinct(points: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return list({repr(sorted(point.items(), key=lambda item: item[0])): dict(point) for point in points}.values())
