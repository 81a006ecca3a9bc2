"""Values as the JSON that `--json` prints, which any program can read."""

from __future__ import annotations

import json
from typing import Any

from stepwell.script.metrics import finite


def json_text(value: Any) -> str:
    """Return the value as JSON, with texts for numbers that JSON lacks."""
    return json.dumps(finite(value), indent=1, default=str, allow_nan=False)
