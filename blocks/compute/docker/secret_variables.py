"""Secret variables on their way into a container: through its standard input, so that no engine shows or keeps them."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from stepwell.blocks.processes.output import Redact

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READ = """code=
while IFS= read -r line && [ "$line" != {end} ]; do code="$code$line
"; done
eval "$code"
unset code line
exec "$0" "$@"
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

    A shell can't name all variables: those with strange names stay with the others.
    """
    hidden = {name: text for name, text in variables.items() if redact(text) != text and _NAME.fullmatch(name)}
    if not hidden:
        return ContainerProcess(argv, dict(variables), stdin)
    end = f"end-{secrets.token_hex(8)}"
    exports = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in hidden.items())
    shown = {name: text for name, text in variables.items() if name not in hidden}
    words = ("/bin/sh", "-c", _READ.format(end=end), *argv)
    return ContainerProcess(words, shown, f"{exports}{end}\n".encode("utf-8", "surrogateescape") + (stdin or b""))
