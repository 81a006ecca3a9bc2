"""Secret variables on their way into a container: through its standard input, so that no engine shows or keeps them."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from stepwell.model.redaction import is_secret_name

if TYPE_CHECKING:
    from stepwell.blocks.processes.output import Redact

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READ = """code=
while IFS= read -r line && [ "$line" != {end} ]; do code="$code$line
"; done
eval "$code"
unset code line
{start}"""
_START = 'exec "$0" "$@"\n'
_CARRIER = "STEPWELL_SECRET_VARIABLES"
# A program's arguments are seen by everybody, so `env NAME=VALUE` won't do for names that no shell can export.
_SET = (
    f"import json, os, sys; os.environb.update((n.encode('latin-1'), v.encode('latin-1')) for n, v in "
    f"json.loads(os.environ.pop('{_CARRIER}')).items()); os.execvp(sys.argv[1], sys.argv[1:])"
)
_START_BY_PYTHON = """for stepwell_python in {pythons}; do
  command -v "$stepwell_python" >/dev/null 2>&1 && exec "$stepwell_python" -I -S -c {code} "$0" "$@"
done
echo {refusal} >&2
exit 127
"""


class ContainerProcess(NamedTuple):
    """A process as an engine starts it: the engine shows `argv` and `variables`, and the process reads `stdin`."""

    argv: tuple[str, ...]
    variables: dict[str, str]
    stdin: bytes | None


def without_secrets(
    argv: tuple[str, ...], variables: Mapping[str, str], stdin: bytes | None, redact: Redact
) -> ContainerProcess:
    """Return the same process; variables that hold a secret are read by a shell first, which then becomes the process.

    Names that no shell can export are set by a Python of the image. One without any refuses the process: it says why on
    standard error, and ends with code 127.
    """
    hidden = {name: text for name, text in variables.items() if redact(text) != text or (text and is_secret_name(name))}
    if not hidden:
        return ContainerProcess(argv, dict(variables), stdin)
    end = f"end-{secrets.token_hex(8)}"
    strange = {name: text for name, text in hidden.items() if not _NAME.fullmatch(name)}
    exported = {name: text for name, text in hidden.items() if name not in strange}
    if strange:
        exported[_CARRIER] = json.dumps({_latin(name): _latin(text) for name, text in strange.items()})
    exports = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in exported.items())
    shown = {name: text for name, text in variables.items() if name not in hidden}
    start = _start_by_python(argv[0], strange) if strange else _START
    words = ("/bin/sh", "-c", _READ.format(end=end, start=start), *argv)
    return ContainerProcess(words, shown, f"{exports}{end}\n".encode("utf-8", "surrogateescape") + (stdin or b""))


def _start_by_python(program: str, names: Iterable[str]) -> str:
    own = [program] if os.path.basename(program).startswith("python") else []
    return _START_BY_PYTHON.format(
        pythons=shlex.join([*own, "python3", "python"]),
        code=shlex.quote(_SET),
        refusal=shlex.quote(
            f"Stepwell: the image has no Python, and without one no variable can be called {', '.join(sorted(names))}. "
            "Use letters, digits and underscores in the names of secret variables."
        ),
    )


def _latin(text: str) -> str:
    """Return the text with one character for each of its bytes."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
