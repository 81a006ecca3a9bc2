"""Classes of Stepwell under the SDK's rules: what the namespace hands out of those that have rules at all."""

from __future__ import annotations

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any

_MADE: dict[type, type] = {}


def under(carrier: Any, module: str, name: str) -> Any:
    """Return what is handed out for a carrier: itself, or if it has rules, the same class under v1's, as `name` of `module`."""
    if not (isinstance(carrier, type) and hasattr(carrier, "default_rules")):
        return carrier
    if carrier not in _MADE:
        kind = _SameInstances if type(carrier) is type else type("_SameInstances", (_SameInstances, type(carrier)), {})
        facts = {"__module__": module, "__doc__": carrier.__doc__, "default_rules": "v1", "stands_for": carrier}
        _MADE[carrier] = kind(name, (carrier,), facts)
    return _MADE[carrier]


class _SameInstances(type):
    """What is an instance or subclass of the carrier is one of the class that stands for it, whoever made it."""

    def __instancecheck__(cls, instance: Any) -> bool:
        carrier = vars(cls).get("stands_for")
        return isinstance(instance, carrier) if carrier else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        carrier = vars(cls).get("stands_for")
        return issubclass(subclass, carrier) if carrier else super().__subclasscheck__(subclass)
