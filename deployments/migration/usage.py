"""What code uses of the Azure ML SDK v1, and what each use means here: found in its syntax, nothing is run."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Literal

from stepwell.deployments.migration.project import Code
from stepwell.errors import UserErrorException

Meaning = Literal["works", "differs", "refuses"]
_CLASSES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Use:
    """One use of the SDK: where, what, and what it means; `told` says how it differs, or what to do instead."""

    line: int
    name: str
    meaning: Meaning
    told: str = ""


@dataclass(frozen=True, slots=True)
class _Thing:
    """What an expression stands for: a module of the SDK, one of its names, an object of it, or a method."""

    kind: Literal["module", "name", "object", "method"]
    name: str
    member: str = ""


def tables() -> tuple[ModuleType, ModuleType]:
    """Return the table of the SDK's names and that of its modules; raise UserErrorException if nobody installed them."""
    try:
        return importlib.import_module("azureml.names"), importlib.import_module("azureml.module_map")
    except ImportError as error:
        raise UserErrorException(
            "The names of the Azure ML SDK are not known here",
            {"because": error},
            "Install them in an environment without the SDK: `pip install ./compat` in a checkout of Stepwell.",
        ) from error


def uses_of(code: Code) -> list[Use]:
    """Return each use of the SDK in the code, in its order; a name that is only imported works, whatever it is."""
    reader = _Reader()
    for statement in code.statements:
        reader.visit(statement)
    found = {*reader.uses, *reader.unused()}
    return sorted(found, key=lambda use: (use.line, use.name))


class _Reader(ast.NodeVisitor):
    """Follows what names stand for, as far as the text of the code tells."""

    def __init__(self) -> None:
        self.uses: set[Use] = set()
        self._names, self._map = tables()
        self._bound: dict[str, _Thing] = {}
        self._imported: dict[str, int] = {}
        self._used: set[str] = set()

    def unused(self) -> Iterator[Use]:
        """Yield the names that are imported, and that nothing carries, but that no line uses."""
        for name, line in self._imported.items():
            if name not in self._used:
                yield Use(line, name, "works", "imported, not used")

    # Imports --------------------------------------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if _is_of_sdk(alias.name):
                self._check_module(alias.name, node.lineno)
                name = alias.name if alias.asname else alias.name.split(".")[0]
                self._bound[alias.asname or name] = _Thing("module", name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or not _is_of_sdk(node.module or ""):
            for alias in node.names:
                self._bound.pop(alias.asname or alias.name, None)
            return
        module = node.module or ""
        if not self._check_module(module, node.lineno):
            return
        for alias in node.names:
            if alias.name == "*":
                self._bound.update({name: _Thing("name", name) for name in self._map.MODULES.get(module, ())})
                continue
            thing = self._member_of_module(module, alias.name, node.lineno)
            if thing is None:
                continue
            self._bound[alias.asname or alias.name] = thing
            if thing.kind == "name":
                if self._names.meaning(thing.name) == "refuses":
                    self._imported.setdefault(thing.name, node.lineno)
                else:
                    self._tell(thing.name, node.lineno)

    def _check_module(self, module: str, line: int) -> bool:
        known = module in self._map.MODULES or module in self._map.PACKAGES or module == "azureml"
        if not known:
            told = "no module of the SDK that Stepwell knows; leave it out, or import the name from `azureml.core`"
            self.uses.add(Use(line, module, "refuses", told))
        return known

    def _member_of_module(self, module: str, name: str, line: int) -> _Thing | None:
        if name in self._map.MODULES.get(module, ()):
            return _Thing("name", name)
        inner = f"{module}.{name}"
        if inner in self._map.MODULES or inner in self._map.PACKAGES:
            return _Thing("module", inner)
        if not name.startswith("__"):
            self.uses.add(Use(line, inner, "refuses", "no name of the SDK that Stepwell knows"))
        return None

    # Uses -----------------------------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        thing = self._bound.get(node.id)
        if thing is not None and thing.kind == "name" and isinstance(node.ctx, ast.Load):
            self._tell(thing.name, node.lineno)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._thing(node)
        self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        thing = self._thing(node.func)
        if thing is not None:
            self._check_call(thing, node)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._bind(target, node.value)
            if not isinstance(target, ast.Name):
                self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        self._bind(node.target, node.value)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, item.context_expr)
        for statement in node.body:
            self.visit(statement)

    visit_AsyncWith = visit_With  # noqa: N815

    def generic_visit(self, node: ast.AST) -> None:
        """Visit what is below; a function's own variables are unknown outside of it."""
        if not isinstance(node, _CLASSES):
            super().generic_visit(node)
            return
        outer = self._bound
        self._bound = dict(outer)
        if not isinstance(node, ast.ClassDef):
            given = node.args
            for argument in [*given.posonlyargs, *given.args, *given.kwonlyargs]:
                self._bound.pop(argument.arg, None)
        super().generic_visit(node)
        self._bound = outer

    def _bind(self, target: ast.expr, value: ast.expr | None) -> None:
        if not isinstance(target, ast.Name):
            return
        thing = self._thing(value) if value is not None else None
        if thing is None:
            self._bound.pop(target.id, None)
        else:
            self._bound[target.id] = thing

    def _tell(self, name: str, line: int) -> None:
        facts = self._names.NAMES[name]
        meaning = self._names.meaning(name)
        if meaning == "refuses" and facts.error:
            meaning = "works"
        self._used.add(name)
        self.uses.add(Use(line, name, meaning, facts.instead if meaning == "refuses" else facts.differs))

    # What an expression stands for ----------------------------------------------------------------------------------

    def _thing(self, node: ast.expr) -> _Thing | None:
        if isinstance(node, ast.Name):
            return self._bound.get(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Call):
            made = self._thing(node.func)
            if made is None:
                return None
            if made.kind == "name":
                return _Thing("object", made.name)
            return self._returned(made) if made.kind == "method" else None
        return None

    def _attribute(self, node: ast.Attribute) -> _Thing | None:
        owner = self._thing(node.value)
        if owner is None or owner.kind == "method":
            return None
        if owner.kind == "module":
            thing = self._member_of_module(owner.name, node.attr, node.lineno)
            if thing is not None and thing.kind == "name":
                self._tell(thing.name, node.lineno)
            return thing
        carrier = self._carrier(owner.name)
        if not isinstance(carrier, type) or node.attr.startswith("_"):
            return None
        found = inspect.getattr_static(carrier, node.attr, None)
        if found is None:
            if isinstance(node.ctx, ast.Load) and not _is_own_attribute(carrier, node.attr):
                told = f"nothing of this name in Stepwell's {owner.name}"
                self.uses.add(Use(node.lineno, f"{owner.name}.{node.attr}", "refuses", told))
            return None
        if isinstance(found, property):
            return self._named(_annotation(found.fget), owner.name)
        return _Thing("method", owner.name, node.attr)

    def _returned(self, method: _Thing) -> _Thing | None:
        found = getattr(self._carrier(method.name), method.member, None)
        return self._named(_annotation(found), method.name)

    def _named(self, annotation: str, own: str) -> _Thing | None:
        word = annotation.removesuffix(" | None").strip("'\"")
        if word == "Self":
            return _Thing("object", own)
        # Of several names for one carrier, its own counts.
        known = sorted(self._names.NAMES.items(), key=lambda item: item[1].carrier.endswith(f":{item[0]}"))
        carried = {facts.carrier.rpartition(":")[2]: name for name, facts in known if facts.carrier}
        return _Thing("object", carried[word]) if word in carried else None

    def _carrier(self, name: str) -> Any:
        return _carrier(self._names.NAMES[name].carrier)

    # Calls ----------------------------------------------------------------------------------------------------------

    def _check_call(self, thing: _Thing, node: ast.Call) -> None:
        if thing.kind not in ("name", "method"):
            return
        carrier = self._carrier(thing.name)
        if carrier is None:
            return
        whole = f"{thing.name}.{thing.member}" if thing.member else thing.name
        called: Any = getattr(carrier, thing.member, None) if thing.member else carrier
        try:
            parameters = inspect.signature(called).parameters
        except (TypeError, ValueError):
            return
        if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
            return
        for keyword in node.keywords:
            if keyword.arg and keyword.arg not in parameters:
                told = "no argument of this name here; leave it out"
                self.uses.add(Use(keyword.value.lineno, f"{whole}({keyword.arg}=)", "refuses", told))


@cache
def _carrier(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute, None) if module else None


@cache
def _is_own_attribute(carrier: Any, name: str) -> bool:
    """Return whether the class's own code sets the attribute on its objects, declares it, or makes it when asked."""
    if hasattr(carrier, "__getattr__"):
        return True
    for base in carrier.__mro__:
        if base.__module__ == builtins.__name__:
            continue
        if name in vars(base).get("__annotations__", {}):
            return True
        try:
            source = inspect.getsource(base)
        except (OSError, TypeError):
            continue
        if f"self.{name} " in source or f"self.{name}," in source or f"self.{name}:" in source:
            return True
    return False


def _annotation(function: Any) -> str:
    try:
        found = inspect.signature(function).return_annotation
    except (TypeError, ValueError):
        return ""
    if found is inspect.Signature.empty:
        return ""
    return found if isinstance(found, str) else getattr(found, "__name__", "")


def _is_of_sdk(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in ("azureml", "azureml_user")
