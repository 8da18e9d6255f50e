"""Tasks made again from what a storage records of them."""

from __future__ import annotations

from typing import Any

from store_tasks import Color, Plain

from labtech_cli.core.codec import encode_params
from labtech_cli.core.order import dependencies_first
from labtech_cli.store.restore import Restorer


def described(*tasks: Any) -> dict[str, tuple[str, str | None, str]]:
    """What a storage records of `tasks` and of all they hold."""
    return {
        task.cache_key: (type(task).__labtech__.name, task.code_version, encode_params(task))
        for task in dependencies_first(list(tasks))
    }


def test_tasks_come_back_with_their_values_and_keys() -> None:
    tasks = [
        Plain(value)
        for value in (1, 1.0, True, "x", None, (1, (2,)), {"a": {"$b": 1}}, Color.RED, float("nan"), -0.0, 1 << 80)
    ]
    tasks.append(Plain([Plain("inner"), {"k": Plain(Color.BLUE)}]))
    found = Restorer(described(*tasks)).tasks([task.cache_key for task in tasks])
    assert found == tasks and [repr(task) for task in found] == [repr(task) for task in tasks]


def test_a_deep_chain_comes_back() -> None:
    task = Plain()
    for _ in range(5_000):
        task = Plain(task)
    (found,) = Restorer(described(task)).tasks([task.cache_key])
    assert found == task


def test_what_can_no_longer_be_made_is_left_out() -> None:
    good, holder = Plain(1), Plain(Plain(2))
    known = described(good, holder, Plain(3), Plain(Color.RED))
    name = "store_tasks.Plain"
    known[Plain(2).cache_key] = ("gone.Plain", None, '{"value":2}')
    known[Plain(3).cache_key] = (name, None, '{"renamed":3}')
    known[Plain(Color.RED).cache_key] = (name, None, '{"value":{"$enum":"store_tasks.Color","name":"PINK"}}')
    assert Restorer(known).tasks([*known, "unknown"]) == [good]


def test_a_description_that_belongs_to_another_key_is_left_out() -> None:
    known = {Plain(1).cache_key: ("store_tasks.Plain", None, '{"value":2}')}
    assert Restorer(known).tasks(list(known)) == []


def test_a_name_that_is_no_task_type_is_left_out() -> None:
    for name in ("store_tasks.Color", "store_tasks", "os.path", ""):
        assert Restorer({"k": (name, None, '{"value":2}')}).tasks(["k"]) == []


def test_an_older_code_version_comes_back_as_that_version() -> None:
    from labtech_cli.core.task import restore

    old = restore(Plain, "v0", None, [1])
    (found,) = Restorer(described(old)).tasks([old.cache_key])
    assert found == old and found.code_version == "v0" and found.current_code_version is None and found != Plain(1)
