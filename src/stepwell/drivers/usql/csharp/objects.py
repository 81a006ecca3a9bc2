"""What `new` makes: dates, spans of time, and arrays."""

from __future__ import annotations

from typing import Any

from stepwell.drivers.usql.csharp.calls import Calls
from stepwell.drivers.usql.csharp.columns import Type, Value, common, fits
from stepwell.drivers.usql.csharp.scope import Scope


class Objects(Calls):
    """Translates `new`."""

    def _new(self, tree: Any, scope: Scope) -> Value:
        kind, arguments = tree.children
        wanted = kind.children[0]
        given = [] if arguments is None else [self.value(argument, scope) for argument in arguments.children]
        if kind.data == "other_type" or not hasattr(wanted, "data") or wanted.data == "name":
            written = ".".join(self.name(part) for part in kind.children)
            hint = "Do that part in a PythonScriptStep; C# code of your own can't be run here."
            self.fail(tree, f"`new {written}` makes an object of a class that is not known here", hint)
        type = self.type(wanted)
        if type.item is not None and len(given) == 1 and given[0].type.item is not None:
            return given[0]
        if given and given[-1].type.name == "DateTimeKind":
            del given[-1]
        if (
            type.name == "DateTime"
            and len(given) in (3, 6, 7)
            and all(fits(value.type, Type("int")) for value in given)
        ):
            parts = [value.sql for value in given] + ["0"] * (6 - min(6, len(given)))
            if len(given) == 7:
                parts[5:] = [f"{parts[5]} + {parts[6]} / 1000.0"]
            place = self.place(tree, "A date that there is not")
            return Value(f"COALESCE(TRY(make_timestamp({', '.join(parts)})), error({place}))", type, None, True, True)
        if type.name == "TimeSpan" and len(given) in (1, 3, 4):
            units = {
                1: ("0.1",),
                3: ("3600000000", "60000000", "1000000"),
                4: ("86400000000", "3600000000", "60000000", "1000000"),
            }
            sql = " + ".join(f"CAST({value.sql} * {unit} AS BIGINT)" for value, unit in zip(given, units[len(given)]))
            return Value(f"({sql})", type)
        kinds = [value.type.name for value in given]
        if type.name == "Guid" and kinds == ["string"]:
            return self._class_call(tree, "Guid.Parse", given)
        if type.name == "string" and kinds == ["char", "int"]:
            wrong = self.place(tree, "A text of less than no characters")
            sql = f"repeat({given[0].sql}, usql_not_below({given[1].sql}, {wrong}))"
            return Value(sql, type, None, True, True, any(value.aggregate for value in given))
        self.fail(tree, f"`new {type}` can't be made of that", "Write new DateTime(2020, 1, 31), or DateTime.Parse(…).")

    def _new_list(self, tree: Any, scope: Scope) -> Value:
        kind, _, items = tree.children
        type = self.type(kind.children[0]) if hasattr(kind.children[0], "data") and kind.data != "other_type" else None
        if type is None or type.item is None:
            self.fail(tree, "That list can't be made here", "Write new SQL.ARRAY<string>{…}.")
        return self._list([] if items is None else [self.value(item, scope) for item in items.children], type.item)

    def _new_array(self, tree: Any, scope: Scope) -> Value:
        items = tree.children[0]
        values = [] if items is None else [self.value(item, scope) for item in items.children]
        item = common([value.type for value in values]) if values else None
        if item is None:
            self.fail(tree, "The items of a list have no type in common", "Write new SQL.ARRAY<string>{…}.")
        return self._list(values, item)

    def _list(self, values: list[Value], item: Type) -> Value:
        sql = f"CAST([{', '.join(self.held_as(value, item).sql for value in values)}] AS {item.held}[])"
        literal = [value.literal for value in values] if all(value.literal is not None for value in values) else None
        return Value(sql, Type("array", item=item), literal, any(v.risky for v in values), True)
