"""The commands of a step, read as far as they can be: which Python code they run, and which other programs."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterator

from stepwell.blocks.environments.packages import program_code
from stepwell.blocks.processes.python_command import is_python, program_of, python_call, shell_commands, shell_text
from stepwell.flows.keys.environment_rows import (
    inherits,
)
from stepwell.flows.keys.source_directory import Source
from stepwell.model.definitions import StepDefinition

_NO_FILE = "\0command"


def command_code(definition: StepDefinition, source: Source) -> Iterator[tuple[str, bytes]]:
    """Yield the scripts of a command, or code that imports what it runs under the name of no file."""
    for folder, words in _commands(definition, source):
        at = next((number for number, word in enumerate(words) if is_python(word)), None)
        call = python_call(words[at:]) if at is not None else None
        if call and call.module:
            yield posixpath.join(folder, _NO_FILE), f"import {call.module}\nimport {call.module}.__main__\n".encode()
        elif call and call.code:
            yield posixpath.join(folder, _NO_FILE), call.code.encode("utf-8", "replace")
        elif at is None:
            program = program_code(words[0])
            if program:
                yield posixpath.join(folder, _NO_FILE), program
        scripts = (
            source.resolve(posixpath.join(folder, word))
            for word in words
            if word.endswith(".py") or word == (call and call.script)
        )
        yield from ((path, b"") for path in scripts if path in source.entries)


def uncovered_programs(definition: StepDefinition, source: Source) -> tuple[str, ...]:
    """Return the programs of a command of which no row tells the version, unless its environment does."""
    if definition.script is not None or definition.driver is not None or not inherits(definition):
        return ()
    programs = {program_of(words): folder for folder, words in _commands(definition, source)}
    return tuple(
        program
        for program, folder in sorted(programs.items())
        if program
        and source.resolve(posixpath.join(folder, program)) not in source.entries
        and not program_code(program)
    )


def _commands(definition: StepDefinition, source: Source) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the folder and the words of each command, also those of shell scripts in the source that it starts."""
    texts = [
        "".join(piece.value if piece.kind == "text" else "\0" for piece in argument)
        for argument in definition.arguments
    ]
    waiting = [("", words) for words in (shell_commands("\n".join(texts)) if definition.shell else [tuple(texts)])]
    seen = set[object]()
    while waiting:
        folder, words = waiting.pop(0)
        if (folder, words) in seen or not words:
            continue
        seen.add((folder, words))
        yield folder, words
        text = shell_text(words)
        if text is None:
            named = (source.resolve(posixpath.join(folder, word)) for word in words[:2])
            text = next((source.shell_script(path) for path in named if path in source.entries), "")
        for inner in shell_commands(text or ""):
            if inner[0] == "cd" and inner[1:]:
                folder = posixpath.normpath(posixpath.join(folder, inner[1]))
            waiting.append((folder, inner))


def words_of(definition: StepDefinition) -> Iterator[str]:
    """Yield the words of a command that may name files of its source."""
    for piece in (piece for argument in definition.arguments for piece in argument if piece.kind == "text"):
        try:
            yield from shlex.split(piece.value) if definition.shell else (piece.value,)
        except ValueError:
            yield from piece.value.split()
