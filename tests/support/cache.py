"""What tests fetch once for this user, whatever the checkout."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder that `STEPWELL_TEST_CACHE` names, or one in the user's cache."""
    return Path(os.environ.get("STEPWELL_TEST_CACHE") or Path.home() / ".cache" / "stepwell-tests")
