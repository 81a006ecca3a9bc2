"""`DataType` as the host has it: its arguments are checked."""

from __future__ import annotations

from stepwell.blocks.arguments.checked import checked
from stepwell.script.tables import reading_options


@checked
class DataType(reading_options.DataType):
    """Types of columns, for `set_column_types`."""
