"""`@task` makes a class a task type, or says clearly why it cannot be one."""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import pytest

from labtech_cli.core.decorate import RESERVED, task
from labtech_cli.core.task import DEFAULT_CACHE, Task, type_of
from labtech_cli.errors import TaskError
from labtech_cli.store.formats import JoblibCache, NullCache


class Classifier(Protocol):
    """What the tutorial's classifier tasks have in common."""

    size: int

    def run(self) -> int: ...

    @property
    def doubled(self) -> int:
        return self.size * 2


@task
class Forest(Classifier):
    size: int
    depth: int = 3

    def run(self) -> int:
        return self.size


@task(code_version="v2")
class DeepForest(Forest):
    depth: int = 9
    extra: str = "e"

    def run(self) -> int:
        return self.depth + super().run()


@task
class Inherits(Forest):
    pass


class Outer:
    @task
    class Inner:
        x: int = 1

        def run(self) -> None: ...

        @task
        class Innermost:
            def run(self) -> None: ...


@task
class Typed(Task[int]):
    x: int = 1
    count: ClassVar[int] = 7

    def run(self) -> int:
        return self.x


class Base(ABC):
    @abstractmethod
    def run(self) -> None: ...


@task
class Abstract(Base):
    pass


@task
class Concrete(Base):
    def run(self) -> None: ...


@task
class Shown:
    def run(self) -> None: ...

    def __repr__(self) -> str:
        return "shown"


@task(cache=None, code_version="v1", max_parallel=2, mlflow_run=True)
class Options:
    def run(self) -> None: ...


def decorated(body: dict[str, Any], bases: tuple[type, ...] = (), options: dict[str, Any] | None = None) -> Any:
    """A class as if it stood at the top level of this module, decorated."""
    cls = type("Made", bases, {"__module__": __name__, "__qualname__": "Made", **body})
    return task(**options)(cls) if options else task(cls)


def run(self: Any) -> None: ...


def test_annotated_fields_are_the_parameters_in_their_order() -> None:
    assert type_of(Forest).parameters == ("size", "depth")
    assert type_of(DeepForest).parameters == ("size", "depth", "extra")
    assert type_of(Typed).parameters == ("x",)
    assert Typed.count == 7


def test_a_type_is_known_by_module_and_qualified_name() -> None:
    assert type_of(Outer.Inner).name == f"{__name__}.Outer.Inner"
    assert type_of(Outer.Inner).label == "Outer.Inner"
    assert repr(Outer.Inner.Innermost()) == "Outer.Inner.Innermost()"


def test_a_task_type_may_extend_a_protocol() -> None:
    assert Forest(4).doubled == 8
    assert Forest(4).run() == 4


def test_a_task_type_may_extend_a_task_type_and_is_another_one() -> None:
    assert DeepForest(1).run() == 10
    assert DeepForest(1).code_version == "v2" and Forest(1).code_version is None
    assert Inherits(1) != Forest(1) and Inherits(1).cache_key != Forest(1).cache_key
    assert isinstance(Inherits(1), Forest)
    assert Inherits(1).run() == 1


def test_an_abstract_base_may_ask_for_run() -> None:
    Concrete()
    with pytest.raises(TypeError, match="abstract"):
        Abstract()


def test_a_type_may_have_its_own_repr() -> None:
    assert repr(Shown()) == "shown"


def test_options_are_kept() -> None:
    kind = type_of(Options)
    assert (kind.cache, kind.code_version, kind.max_parallel, kind.mlflow_run) == (None, "v1", 2, True)
    assert kind.keeps_nothing
    assert type_of(Forest).cache is DEFAULT_CACHE and not type_of(Forest).keeps_nothing
    assert type_of(decorated({"run": run}, options={"cache": NullCache()})).keeps_nothing


def test_the_cache_format_and_the_limits_are_no_part_of_the_key() -> None:
    plain = decorated({"run": run})()
    for options in ({"cache": JoblibCache()}, {"cache": None}, {"max_parallel": 1}, {"mlflow_run": True}):
        assert decorated({"run": run}, options=options)().cache_key == plain.cache_key
    assert decorated({"run": run}, options={"code_version": "1"})().cache_key != plain.cache_key


def test_a_type_without_parameters_has_one_task() -> None:
    assert Options() == Options()


@pytest.mark.parametrize("name", sorted(RESERVED - {"__hash__"}))
def test_reserved_names_are_refused_as_methods_and_as_fields(name: str) -> None:
    with pytest.raises(TaskError, match=f"task type 'Made': '{re.escape(name)}' is reserved"):
        decorated({"run": run, name: lambda self: None})
    if not name.startswith("__"):
        with pytest.raises(TaskError, match=f"'{name}' is reserved"):
            decorated({"run": run, "__annotations__": {name: int}})


def test_what_the_specification_says_tasks_have_is_reserved() -> None:
    assert {"cache_key", "result", "result_meta", "code_version", "current_code_version", "context"} <= RESERVED
    assert not {"run", "post_init", "filter_context", "runner_options", "name", "key", "__doc__"} & RESERVED


def test_a_reserved_name_in_a_plain_base_names_the_base() -> None:
    plain = type("Plain", (), {"result": 1})
    with pytest.raises(TaskError, match=r"'result' is reserved \(defined in Plain\)"):
        decorated({"run": run}, (plain,))


@pytest.mark.parametrize(
    ("name", "hint"), [("__post_init__", "name it post_init"), ("__init__", "declare parameters as fields")]
)
def test_dunder_methods_that_dataclasses_use_have_a_hint(name: str, hint: str) -> None:
    with pytest.raises(TaskError, match=hint):
        decorated({"run": run, name: lambda self: None})


@pytest.mark.parametrize("body", [{}, {"run": 3}, {"run": None}])
def test_a_missing_run_is_an_error(body: dict[str, Any]) -> None:
    with pytest.raises(TaskError, match=r"task type 'Made' has no run\(\) method; define run\(self\)"):
        decorated(body)


def test_the_run_of_a_protocol_does_not_count() -> None:
    with pytest.raises(TaskError, match=r"has no run\(\)"):
        decorated({}, (Classifier,))


def test_a_type_defined_inside_a_function_is_an_error() -> None:
    with pytest.raises(TaskError, match=r"defined inside a function.*move the class to the top level"):

        @task
        class Local:
            def run(self) -> None: ...


def test_mutable_defaults_and_fields_in_a_wrong_order_are_errors() -> None:
    with pytest.raises(TaskError, match=r"Made.*mutable default.*default_factory"):
        decorated({"run": run, "__annotations__": {"x": list}, "x": []})
    with pytest.raises(TaskError, match="non-default argument 'b' follows default argument"):
        decorated({"run": run, "__annotations__": {"a": int, "b": int}, "a": 1})


def test_init_only_fields_are_refused() -> None:
    with pytest.raises(TaskError, match=r"'scale' is an InitVar.*field"):
        decorated({"run": run, "__annotations__": {"scale": dataclasses.InitVar[int]}})
    with pytest.raises(TaskError, match="'scale' is an InitVar"):
        decorated({"run": run, "__annotations__": {"scale": "dataclasses.InitVar[int]"}})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"code_version": 2}, "code_version must be a string, not 2; write code_version='2'"),
        ({"max_parallel": 0}, "max_parallel must be a whole number of at least 1, not 0"),
        ({"max_parallel": True}, "max_parallel must be a whole number"),
        ({"max_parallel": 1.5}, "max_parallel must be a whole number"),
        ({"mlflow_run": 1}, "mlflow_run must be True or False, not 1"),
        ({"cache": JoblibCache}, "cache must be an instance, not a class; write cache=JoblibCache()"),
        ({"cache": "pickle"}, "cache must be a cache format or None, not 'pickle'"),
        ({"max_paralel": 1}, "@task has no option 'max_paralel'; did you mean 'max_parallel'?"),
    ],
)
def test_wrong_options_say_what_is_right(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TaskError) as caught:
        decorated({"run": run}, options=options)
    assert words in str(caught.value)


@pytest.mark.parametrize("thing", [run, 3, "x"])
def test_only_classes_are_decorated(thing: Any) -> None:
    with pytest.raises(TaskError, match="decorates a class"):
        task(thing)
    with pytest.raises(TaskError, match="decorates a class"):
        task(code_version="1")(thing)
