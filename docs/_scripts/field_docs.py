"""A griffe extension: a field's `description` is its docstring, and its `default` its value."""

from __future__ import annotations

from typing import Any

import griffe


class FieldDocs(griffe.Extension):
    """Reads `name: type = Field(default=…, description=…)` of pydantic's models without importing them."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Take what the call to Field says."""
        value = attr.value
        if not isinstance(value, griffe.ExprCall) or str(value.function) != "Field":
            return
        given = {item.name: item.value for item in value.arguments if isinstance(item, griffe.ExprKeyword)}
        attr.value = given.get("default")
        description = str(given.get("description", "")).strip("'\"")
        if description and not attr.docstring:
            attr.docstring = griffe.Docstring(description, parent=attr)
