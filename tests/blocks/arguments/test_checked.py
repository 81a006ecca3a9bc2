"""Public functions take what their type hints say, and nothing else."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, TypedDict, Unpack, get_origin

import pytest

import stepwell
from stepwell.blocks.arguments.checked import read_ahead, checked, hints_of, is_checking, refuse_unknown, unchecked
from stepwell.blocks.arguments.hints import mismatch
from stepwell.errors import UserErrorException

NOT_CHECKED = {"DataType", "Run", "StepwellError", "TimeZone"}
"""`Run` and `DataType` travel to workers on the standard library alone; the others are Python's own kinds of class."""

FOR_THE_ENGINE = ("run", "check", "demand", "with_contents")
"""Functions of compute targets that only the engine calls."""


class Options(TypedDict, total=False):
    old: str | None


@checked
class Thing:
    made: ClassVar[int] = 0

    def __init__(self, name: str, size: int = 1, *, later: Workspace | None = None, _own: int = 0) -> None:  # noqa: F821
        self.name, self.size = name, size

    def rename(self, name: str, **ignored: Unpack[Options]) -> str:
        return name

    def free(self, *names: str, **values: Any) -> dict[str, Any]:
        return values

    @classmethod
    def of(cls, name: str) -> Thing:
        return cls(name)

    @staticmethod
    def double(size: int) -> int:
        return 2 * size

    def _private(self, size: int) -> int:
        return size


class Special(Thing):
    pass


@pytest.mark.parametrize(
    ("call", "words"),
    [(lambda: Thing(), "Thing needs `name`"), (lambda: Thing(5), "`name` of Thing must be a text, not 5"),
     (lambda: Special(5), "`name` of Special must be a text, not 5"), (lambda: Thing("a", "2"), "`size` of Thing must be a whole"),
     (lambda: Thing("a", sise=2), "Thing takes no argument 'sise'"), (lambda: Thing("a", 1, 2), "at most 2 arguments without their names, not 3"),
     (lambda: Thing("a", name="b"), "is given `name` twice"), (lambda: Thing("a", later=3), "`later` of Thing must be a Workspace, not 3"),
     (lambda: Thing("a").rename(1), "`name` of Thing.rename"), (lambda: Thing("a").rename("b", old=1), "`old` of Thing.rename"),
     (lambda: Thing("a").rename("b", older="1"), "Thing.rename takes no argument 'older'"),
     (lambda: Special.of(1), "`name` of Special.of"), (lambda: Thing.double("1"), "`size` of Thing.double"),
     (lambda: Thing("a", _other=1), "takes no argument '_other'")],
)  # fmt: skip
def test_wrong_calls_are_refused_in_a_sentence(call, words):
    with pytest.raises(UserErrorException) as caught:
        call()
    assert words in caught.value.title and caught.value.hint.endswith(".")


def test_right_calls_go_through():
    assert Thing("a", 2, _own=1).rename("b", old=None) == "b" and Thing.double(2) == Special("a").double(2) == 4
    assert type(Special.of("a")) is Special and Thing("a").free("b", c=1) == {"c": 1}
    assert Thing("a")._private("text") == "text"


def test_signatures_stay_as_they_are():
    assert inspect.getfullargspec(Thing.__init__).args == ["self", "name", "size"]
    assert str(inspect.signature(Thing.of)) == "(name: 'str') -> 'Thing'"


def test_the_nearest_name_is_told_and_private_names_are_not():
    with pytest.raises(UserErrorException) as caught:
        refuse_unknown("Thing", ["paramters"], ["name", "parameters", "_parameter"])
    assert caught.value.hint == "Write `parameters`." and caught.value.facts == {"arguments": "name, parameters"}
    with pytest.raises(UserErrorException, match="Remove it"):
        refuse_unknown("Thing", ["xyz"], ["name"])


def test_checks_can_be_put_off_for_what_was_stored():
    with unchecked():
        assert not is_checking()
    assert is_checking()


# The whole surface ------------------------------------------------------------------------------------------------------


def functions():
    for public in sorted(set(stepwell.__all__) - NOT_CHECKED):
        for kind in getattr(getattr(stepwell, public), "__mro__", ()):  # the others are functions
            if kind.__module__.startswith("stepwell.") and not kind.__name__.endswith("Block"):
                for name in vars(kind):
                    member = inspect.getattr_static(getattr(stepwell, public), name)
                    function = getattr(member, "__func__", member)
                    if inspect.isfunction(function) and not name.startswith(("_", "model_")) or name == "__init__":
                        yield f"{kind.__name__}.{name}", function


FUNCTIONS = dict(functions())


def test_every_public_function_checks_what_it_is_called_with():
    assert [name for name, function in FUNCTIONS.items() if not hasattr(function, "__wrapped__")] == []


def test_every_type_hint_of_a_public_function_is_one_that_can_be_checked():
    unread = {}
    for name, function in FUNCTIONS.items():
        plain = function.__wrapped__
        hints = hints_of(plain)
        for hint in hints.values():
            if get_origin(hint) is not Unpack:
                mismatch("x", object(), hint)
        missing = set(plain.__annotations__) - set(hints) - {"return"}
        travels = plain.__module__.startswith("stepwell.script.")  # where types are for type checkers alone
        if missing and not travels and not name.endswith(tuple(f".{own}" for own in FOR_THE_ENGINE)):
            unread[name] = missing
    assert unread == {}


def test_no_public_function_takes_any_keyword_but_those_that_are_made_for_it():
    free = {name for name, function in FUNCTIONS.items() for p in inspect.signature(function).parameters.values()
            if p.kind is p.VAR_KEYWORD and "Unpack" not in str(p.annotation)}  # fmt: skip
    assert free == {
        "TaskMethods.submit",
        "DatastoreFiles.objects",
        "HostRun.get_submitted_run",
        "Run.get_submitted_run",
        "StepDetails.get_context",
        "StepDetails.get_submitted_run",
        "StepDetails.log_row",
        "StepDetails.submit_child",
        "TaskMethods.map",
        "TaskMethods.with_options",
        "Pipeline.plan",
        "Pipeline.submit",
        "Experiment.start_logging",
        "AskingRun.submit_child",
        "HostRun.get_context",
        "HostRun.get_submitted_run",
        "HostRun.log_row",
        "HostRun.register_model",
        "HostRun.submit_child",
        "Recorder.log_row",
        "Run.get_context",
        "Run.get_submitted_run",
        "StepDetails.get_context",
        "StepDetails.get_submitted_run",
        "StepDetails.log_row",
        "StepDetails.submit_child",
        "DatabaseRegistration.register_azure_my_sql",
        "DatabaseRegistration.register_azure_postgre_sql",
        "DatabaseRegistration.register_azure_sql_database",
        "_Authentication.get_token",
        "AutoMLSettings.__init__",
        "Compute.__init__",
        "FoundByName.__init__",
        "AdlaCompute.__init__",
        "AmlCompute.__init__",
        "BatchCompute.__init__",
        "DataFactoryCompute.__init__",
        "DatabricksCompute.__init__",
        "KustoCompute.__init__",
    }


def test_every_argument_refuses_what_is_none_of_its_types_by_its_name():
    taken = []
    for name, function in FUNCTIONS.items():
        for argument, hint in hints_of(function.__wrapped__).items():
            if "Any" not in str(hint) and "object" not in str(hint) and get_origin(hint) is not Unpack:
                found = mismatch(argument, type("Odd", (), {})(), hint)
                if found is None or not found.name.startswith(argument):
                    taken.append((name, argument))
    assert taken == []


def test_what_functions_take_can_be_read_before_they_are_called(monkeypatch):
    from stepwell.blocks.arguments import checked as subject

    @checked
    class Early:
        def __init__(self, number: int = 0) -> None:
            self.number = number

        @classmethod
        def made(cls, names: list[str]) -> str:
            return names[0]

    read_ahead(Early.__init__, Early.made, None)
    monkeypatch.setattr(subject, "hints_of", lambda function: pytest.fail(f"read {function} late"))
    assert Early(3).number == 3 and Early.made(["a"]) == "a"
    with pytest.raises(UserErrorException, match="must be a whole number"):
        Early("3")
