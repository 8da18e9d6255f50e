"""Targets: what the command line names becomes tasks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labtech_cli.errors import TargetError
from labtech_cli.project.modules import ModulePlace, import_target_module
from labtech_cli.project.targets import Offer, Targets, offers, resolve_targets
from labtech_cli.project.usercode import UserCodeError

MODULE = '''
from __future__ import annotations
import contextlib
import functools
from enum import Enum
from typing import Iterator, Protocol, TYPE_CHECKING

from labtech_cli.core.decorate import task
from um_library import Imported, imported_task, imported_tasks, imported_function

if TYPE_CHECKING:
    from nowhere import Unknown

DATASETS = {'digits': [1, 2], 'iris': []}
LIMIT = 3

class Dataset(Enum):
    DIGITS = 1
    IRIS = 2

class Classifier(Protocol):
    def run(self): ...

@task
class Line:
    """Logistic regression.

    More."""
    def run(self): return 1

@task
class Forest:
    n: int
    def run(self): return 1

@task
class Experiment:
    seed: int
    classifier: Classifier
    dataset: Dataset = Dataset.DIGITS
    def run(self): return 1

@task
class Picky:
    n: float
    def post_init(self):
        if self.n < 0: raise ValueError('too small')
    def run(self): return 1

@task
class Anything:
    value: object
    def run(self): return 1

class Holder:
    best = Forest(9)
    @task
    class Inner:
        def run(self): return 1
    class _Hidden:
        pass

forest = Forest(1)
forests = [Forest(1), Forest(2), Forest(3)]
nested = {'a': forests, 'b': [(Line(),), {'c': forest}], 'd': []}
lazily = (Forest(n) for n in range(2))
unordered = {Forest(3), Forest(1), Forest(2)}
mixed = [forest, [1]]
empty = []
circle = [forest]
circle.append(circle)
_private = forest
Alias = Forest

def sweep(seed: int, classifier: Classifier = forest, *, dataset: Dataset = Dataset.IRIS):
    """All seeds."""
    return [Experiment(seed, classifier, dataset)]

def typed(unknown: Unknown = 1, n: int = None) -> list[Forest]:
    assert unknown == 1 or isinstance(unknown, float)
    return [Forest(1 if n is None else n)]

def yielding(count: int = 2) -> Iterator[Forest]:
    for n in range(count):
        if n == 5: raise LookupError('five')
        yield Forest(n)

def one(n: int): return Forest(n)

def every(**options: int): return [Forest(n) for n in options.values()]

def first(n: int, /, m: int = 0): return Forest(n + m)

def failing(): return [1 / 0]

def leaving():
    import sys
    return sys.exit(2)

def wrong() -> list[Forest]: return [Forest({1})]

def fit(model, data): return model

def load_numbers() -> list[int]: return [1]

def main(): print(list(lambda: (yield)))

@functools.lru_cache
def remembered(): return forests

bound = functools.partial(one, 4)
made = functools.partial(one)
'''

LIBRARY = """
from labtech_cli.core.decorate import task

@task
class Imported:
    def run(self): return 1

imported_task = Imported()
imported_tasks = [imported_task]
def imported_function(): return imported_tasks
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path, finders = list(sys.path), list(sys.meta_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "um_exp.py").write_text(MODULE)
    (tmp_path / "um_library.py").write_text(LIBRARY)
    yield tmp_path
    sys.path[:], sys.meta_path[:] = path, finders
    for name in [name for name in sys.modules if name.startswith("um_")]:
        del sys.modules[name]


def resolve(project: Path, *texts: str, p: tuple[str, ...] = (), grid: tuple[str, ...] = (), **more: Any) -> Targets:
    return resolve_targets([f"um_exp.py:{text}" for text in texts], params=p, grids=grid, base=project, **more)


def shown(project: Path, *texts: str, p: tuple[str, ...] = (), grid: tuple[str, ...] = ()) -> list[str]:
    return [repr(task) for task in resolve(project, *texts, p=p, grid=grid).tasks]


def refusal(project: Path, *texts: str, p: tuple[str, ...] = (), grid: tuple[str, ...] = ()) -> str:
    with pytest.raises(TargetError) as caught:
        resolve(project, *texts, p=p, grid=grid)
    assert caught.value.exit_status == 2
    return str(caught.value).replace("um_exp.py:", "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("forest", "1"),
        ("_private", "1"),
        ("forests", "1 2 3"),
        ("lazily", "0 1"),
        ("unordered", "1 2 3"),
        ("Holder.best", "9"),
        ("yielding", "0 1"),
        ("typed", "1"),
        ("remembered", "1 2 3"),
        ("bound", "4"),
    ],
)
def test_a_name_gives_tasks(project: Path, name: str, expected: str) -> None:
    assert shown(project, name) == [f"Forest(n={n})" for n in expected.split()]


def test_mappings_and_iterables_may_be_nested(project: Path) -> None:
    assert shown(project, "nested") == ["Forest(n=1)", "Forest(n=2)", "Forest(n=3)", "Line()"]


def test_tasks_named_twice_are_kept_once_in_order_of_first_appearance(project: Path) -> None:
    found = resolve(project, "forest", "forests", "Line", "forest")
    assert [repr(task) for task in found.tasks] == ["Forest(n=1)", "Forest(n=2)", "Forest(n=3)", "Line()"]
    assert found.names == ("um_exp.py:forest", "um_exp.py:forests", "um_exp.py:Line", "um_exp.py:forest")
    assert found.modules == [ModulePlace("um_exp", str(project))]


def test_a_generator_named_twice_is_not_used_up(project: Path) -> None:
    assert len(resolve(project, "lazily", "lazily").tasks) == 2


def test_dotted_modules_and_aliases_are_targets_too(project: Path) -> None:
    (project / "sub").mkdir()
    found = resolve_targets(
        ["um_exp:Line", "best"], aliases={"best": "um_exp.py:forest"}, base=project, alias_base=project
    )
    assert len(found.tasks) == 2
    found = resolve_targets(["best"], aliases={"best": "um_exp.py:forest"}, base=project / "sub", alias_base=project)
    assert found.names == ("best",)


def test_a_task_type_is_made_with_its_parameters(project: Path) -> None:
    assert shown(project, "Line") == ["Line()"]
    assert shown(project, "Forest", p=("n=4",)) == ["Forest(n=4)"]
    assert shown(project, "Experiment", p=("seed=1", "classifier=um_exp.py:forest", "dataset=IRIS")) == [
        "Experiment(seed=1, classifier=Forest(n=1), dataset=Dataset.IRIS)"
    ]


def test_a_value_may_be_an_alias_a_task_type_or_a_function(project: Path) -> None:
    aliases = {"best": "um_exp.py:forest"}
    for value in ("best", "um_exp.py:Line", "um_exp:typed", "um_exp.py:sweep"):
        if value == "um_exp.py:sweep":
            with pytest.raises(TargetError, match=r"'classifier': 'um_exp.py:sweep' needs a value for 'seed'"):
                resolve(project, "Experiment", p=("seed=1", f"classifier={value}"), aliases=aliases)
        elif value == "um_exp:typed":
            with pytest.raises(TargetError, match="it names several tasks: name one"):
                resolve(project, "Experiment", p=("seed=1", f"classifier={value}"), aliases=aliases)
        else:
            assert len(resolve(project, "Experiment", p=("seed=1", f"classifier={value}"), aliases=aliases).tasks) == 1


def test_a_value_without_a_useful_annotation_may_be_a_target_or_a_toml_value(project: Path) -> None:
    assert shown(project, "Anything", p=("value=um_exp.py:forest",)) == ["Anything(value=Forest(n=1))"]
    assert shown(project, "Anything", p=("value=[1, 'a']",)) == ["Anything(value=(1, 'a'))"]


def test_a_function_gets_its_arguments_converted(project: Path) -> None:
    assert shown(project, "sweep", p=("seed=3",)) == [
        "Experiment(seed=3, classifier=Forest(n=1), dataset=Dataset.IRIS)"
    ]
    assert shown(project, "typed", p=("unknown=2.5", "n=None")) == ["Forest(n=1)"]
    assert shown(project, "every", p=("a=1", "b=2")) == ["Forest(n=1)", "Forest(n=2)"]
    assert shown(project, "first", p=("n=1", "m=2")) == ["Forest(n=3)"]


def test_grids_multiply_out_in_the_order_given(project: Path) -> None:
    found = shown(project, "Experiment", p=("dataset=IRIS",), grid=("seed=1..2", "classifier=um_exp.py:forests"))
    assert [line.replace(", dataset=Dataset.IRIS", "") for line in found] == [
        f"Experiment(seed={seed}, classifier=Forest(n={n}))" for seed in (1, 2) for n in (1, 2, 3)
    ]
    assert shown(project, "one", grid=("n=5,3,5",)) == ["Forest(n=5)", "Forest(n=3)"]


def test_parameters_go_to_every_target_that_takes_them(project: Path) -> None:
    assert shown(project, "Forest", "Picky", "forests", p=("n=4",)) == [
        "Forest(n=4)",
        "Picky(n=4.0)",
        *(f"Forest(n={n})" for n in (1, 2, 3)),
    ]


@pytest.mark.parametrize(
    ("name", "p", "grid", "words"),
    [
        ("Forest", ("n",), (), "-p takes name=VALUE, not 'n'; for example -p seed=1"),
        ("Forest", (), ("=1",), "--grid takes name=VALUE, not '=1'; for example --grid seed=1,5,10"),
        (
            "Forest",
            ("n=1", "n=2"),
            (),
            "parameter 'n' is given twice by -p; keep one, or write --grid n=VALUE,VALUE",
        ),
        ("Forest", (), ("n=1", "n=2"), "parameter 'n' is given twice by --grid; keep one"),
        ("Forest", ("n=1",), ("n=2",), "parameter 'n' is given by -p and by --grid; keep one of them"),
        ("Forest", ("n=1.5",), (), "parameter 'n': expected int, not '1.5'; give a whole number"),
        ("Forest", ("m=1",), (), "'Forest' has no parameter 'm'; choose from 'n'"),
        ("sweep", ("sed=1",), (), "'sweep' has no parameter 'sed'; did you mean 'seed'?"),
        (
            "forest",
            ("n=1",),
            (),
            "-p n=...: there is nothing to set in 'forest'; parameters are for functions and",
        ),
        ("forest", (), ("n=1",), "--grid n=...: there is nothing to set in 'forest'"),
        ("sweep", (), (), "'sweep' needs a value for 'seed' (int); add -p seed=VALUE"),
        (
            "Experiment",
            (),
            (),
            "'seed' (int), 'classifier' (a Classifier); add -p seed=VALUE -p classifier=VALUE",
        ),
        ("Anything", (), (), "'Anything' needs a value for 'value' (any value)"),
        (
            "sweep",
            ("seed=1", "dataset=DIGIT"),
            (),
            "expected a member of Dataset, not 'DIGIT'; did you mean 'DIGITS'?",
        ),
        ("forrest", (), (), "'um_exp.py' has no 'forrest'; did you mean 'forest'?"),
        ("Holder.bst", (), (), "'Holder' has no 'bst'; did you mean 'best'?"),
        ("forest.qqq", (), (), "'forest' has no 'qqq'; it is of type Forest"),
        ("forest.result", (), (), "'forest.result': the result of Forest(n=1) is not available here"),
        ("empty", (), (), "'empty' gives no tasks; it is empty: name something that holds tasks"),
        (
            "mixed",
            (),
            (),
            "'mixed' holds, at [1][0], a value of type int, not a task; name a task, or a list or dict",
        ),
        ("DATASETS", (), (), "'DATASETS' holds, at ['digits'][0], a value of type int, not a task"),
        ("circle", (), (), "'circle'[1] contains itself"),
        ("LIMIT", (), (), "'LIMIT' is a value of type int, not a task"),
        ("Dataset", (), (), "'Dataset' is a class, but not a task type; decorate it with @task"),
        (
            "main",
            (),
            (),
            "'main' failed when it was called with TypeError: 'function' object is not iterable",
        ),
        ("a:b", (), (), "'a:b' is not a target; write FILE.py:NAME or package.module:NAME"),
        (
            "Picky",
            ("n=-1",),
            (),
            "'Picky' failed when it was called with ValueError: too small (47); correct 47",
        ),
    ],
)
def test_what_is_wrong_is_said(project: Path, name: str, p: tuple[str, ...], grid: tuple[str, ...], words: str) -> None:
    assert words in refusal(project, name, p=p, grid=grid)


def test_a_functions_own_exception_comes_with_its_traceback(project: Path) -> None:
    for name, p, words in (
        (
            "failing",
            (),
            "'um_exp.py:failing' failed when it was called with ZeroDivisionError: division by zero",
        ),
        (
            "yielding",
            ("count=9",),
            "'um_exp.py:yielding' failed while its tasks were listed with LookupError: five",
        ),
        ("leaving", (), "'um_exp.py:leaving' called sys.exit(2) when it was called (um_exp.py:"),
    ):
        with pytest.raises(UserCodeError) as caught:
            resolve(project, name, p=p)
        assert words in caught.value.message
        assert f'{project}/um_exp.py", line' in caught.value.user_traceback.splitlines()[1]


def test_a_task_error_in_a_function_names_the_line(project: Path) -> None:
    words = refusal(project, "wrong")
    assert words.startswith("'wrong' is wrong (1")
    assert "parameter 'n' cannot hold a value of type 'set'" in words


def test_a_function_that_returns_nothing_or_a_task_type_is_told_so(project: Path) -> None:
    (project / "um_small.py").write_text(
        "from um_exp import Forest\ndef nothing(): pass\ndef kind(): return [Forest]\ndef inner(): return [nothing]\n"
    )
    for name, words in (
        ("nothing", "'um_small.py:nothing' returned None, not tasks; return the tasks it makes"),
        ("kind", "holds, at [0], the task type Forest, not a task; call it to make a task: Forest(...)"),
        ("inner", "holds, at [0], a value of type function, not a task; call it to get what it returns"),
    ):
        with pytest.raises(TargetError) as caught:
            resolve_targets([f"um_small.py:{name}"], base=project)
        assert words in str(caught.value)


@pytest.mark.parametrize("text", ["um_library.py", "um_library.py:", "um_library"])
def test_without_a_name_the_module_says_what_it_offers(project: Path, text: str) -> None:
    with pytest.raises(TargetError) as caught:
        resolve_targets([text], base=project)
    source = text.rstrip(":")
    assert caught.value.message == (
        f"'{text}' names no task; the module offers Imported (task type), imported_task (task), "
        "imported_tasks (tasks), imported_function (function)"
    )
    assert caught.value.hint == f"write one of them after a colon: {source}:imported_tasks"


def test_a_module_that_offers_nothing_says_so(project: Path) -> None:
    (project / "um_bare.py").write_text("x = 1")
    with pytest.raises(TargetError, match=r"'um_bare.py' names no task, and 'um_bare.py' offers none"):
        resolve_targets(["um_bare.py"], base=project)


def test_a_misspelt_alias_finds_the_nearest(project: Path) -> None:
    with pytest.raises(TargetError) as caught:
        resolve_targets(["evaluatoin"], aliases={"evaluation": "um_exp.py:forest"}, base=project)
    assert str(caught.value) == (
        "there is no target 'evaluatoin': there is no module 'evaluatoin'; did you mean the alias 'evaluation'?"
    )
    with pytest.raises(TargetError, match="there is no module 'qqqqqqq'"):
        resolve_targets(["qqqqqqq"], aliases={"evaluation": "um_exp.py:forest"}, base=project)


def test_a_module_offers_what_belongs_to_it_in_source_order(project: Path) -> None:
    found = offers(import_target_module("um_exp.py", project))
    assert [f"{item.name} {item.kind} {item.count or ''}".strip() for item in found] == [
        "Line task type",
        "Forest task type",
        "Experiment task type",
        "Picky task type",
        "Anything task type",
        "Holder.Inner task type",
        "forest task 1",
        "forests tasks 3",
        "nested tasks 4",
        "lazily tasks",
        "unordered tasks 3",
        "sweep function",
        "typed function",
        "yielding function",
        "one function",
        "every function",
        "first function",
        "failing function",
        "leaving function",
        "wrong function",
        "remembered function",
    ]
    assert found[0] == Offer("Line", "task type", None, "Logistic regression.")
    assert next(item.doc for item in found if item.name == "sweep") == "All seeds."


def test_names_in_all_belong_to_the_module(project: Path) -> None:
    (project / "um_front.py").write_text(
        "from um_library import *\nfrom um_library import Imported as Other, imported_task as task\n"
        "__all__ = ['Imported', 'task', 'imported_function']\n"
    )
    found = offers(import_target_module("um_front.py", project))
    assert [item.name for item in found] == ["task", "Imported", "imported_function"]
