"""The context: a read-only mapping that loads a value when it is first asked for."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from labtech_cli.errors import LabError, LabtechError, TaskError
from labtech_cli.run.context import Context, ContextSpec

calls: list[str] = []
PLAIN = [1, 2]


def load() -> str:
    calls.append("load")
    return "loaded"


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


def test_values_and_loaders_make_one_mapping() -> None:
    context = Context(ContextSpec({"a": 1}, {"b": "test_context:load", "c": "test_context:PLAIN"}))
    assert list(context) == ["a", "b", "c"] and len(context) == 3 and "b" in context and "x" not in context
    assert calls == [] and repr(context) == "Context(a, b, c)"
    assert dict(context) == {"a": 1, "b": "loaded", "c": [1, 2]}


def test_a_loader_is_called_once_even_by_many_threads() -> None:
    context = Context(ContextSpec({}, {"b": "test_context:load"}))
    start = threading.Barrier(4)

    def ask() -> None:
        start.wait()
        assert context["b"] == "loaded"

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == ["load"]


def test_a_missing_value_says_which_there_are_and_is_a_key_error() -> None:
    context = Context(ContextSpec({"DATASETS": 1}))
    with pytest.raises(TaskError, match="the context has no value 'DATASET'; did you mean 'DATASETS'") as caught:
        context["DATASET"]
    assert isinstance(caught.value, KeyError) and context.get("DATASET", 5) == 5
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), TaskError)


def test_a_loader_that_does_not_exist_says_so() -> None:
    with pytest.raises(LabtechError, match="context loader 'b'"):
        Context(ContextSpec({}, {"b": "test_context:lod"}))["b"]


def test_packed_values_come_back_and_writing_into_one_harms_no_other(tmp_path: Path) -> None:
    packed = ContextSpec({"array": np.zeros(100_000), "small": {"x": 1}}).pack(str(tmp_path))
    first, second = Context(packed), Context(pickle.loads(pickle.dumps(packed)))
    first["array"][:] = 7
    assert second["array"].sum() == 0 and second["small"] == {"x": 1}


def test_a_value_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"the context value 'f' cannot be sent to worker processes.*context.loaders"):
        ContextSpec({"f": lambda: 1}).pack(str(tmp_path))
