"""What a lab is told of its resources, and what it finds itself."""

from __future__ import annotations

from typing import Any

import psutil
import pytest

from labtech_cli.errors import LabError
from labtech_cli.run.machine import cpu_count
from labtech_cli.run.resources import Resources, read_resources


def test_what_is_said_is_read() -> None:
    found = read_resources({"cpus": 8, "memory": "16GB", "gpus": [0, "GPU-aa"], "enforce_memory": True})
    assert found == Resources(8, 16 * 10**9, ("0", "GPU-aa"), True)
    assert found.totals(2, 2) == (8, 16 * 10**9, 2)
    assert read_resources(None) == read_resources({"cpus": None}) == Resources()


def test_by_default_it_is_what_the_machine_has() -> None:
    totals = Resources().totals(workers=1)
    assert totals.cpus == cpu_count() and Resources().limit() <= psutil.virtual_memory().total
    ours = Resources().limit() - totals.memory
    assert psutil.Process().memory_info().rss / 4 < ours < 2 * psutil.Process().memory_info().rss + 600 * 2**20
    assert Resources(memory=7).totals(1).memory == Resources(memory=7).limit() == 7, "what is said is for tasks alone"
    assert Resources().totals(workers=1000).cpus == 1000, "more workers than CPUs were asked for"


def test_gpus_that_are_visible_are_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert Resources().devices() == ("3", "1")
    assert Resources(gpus=()).devices() == ()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (5, "must be a dict, not int"),
        ({"memry": 1}, "there is no 'memry'; did you mean 'memory'?"),
        ({"cpus": 0}, "cpus must be a whole number of at least 1, not 0"),
        ({"cpus": 1.5}, "cpus must be a whole number"),
        ({"memory": "much"}, "memory 'much' is not a size; write for example"),
        ({"memory": True}, "memory must be a size such as '16GB'"),
        ({"gpus": 2}, "gpus must be a list of numbers or UUIDs, not 2; write [0, 1]"),
        ({"gpus": [-1]}, "gpus must be a list"),
        ({"gpus": ["0,1"]}, "gpus must be a list"),
        ({"gpus": [0, "0"]}, "names one twice"),
        ({"enforce_memory": 1}, "enforce_memory must be True or False"),
    ],
)
def test_what_makes_no_sense_is_refused(said: Any, words: str) -> None:
    with pytest.raises(LabError) as caught:
        read_resources(said)
    assert words in str(caught.value)
