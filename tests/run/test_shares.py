"""Each GPU has one task at a time; libraries use as many threads as the task has CPUs."""

from __future__ import annotations

import os

import pytest
import threadpoolctl  # type: ignore[import-untyped]

from labtech_cli.core.needs import Needs
from labtech_cli.run.shares import DEVICES, THREADS, Share, Shares, Surroundings


def test_gpus_are_handed_out_in_their_order_each_once() -> None:
    shares = Shares({1: Needs(gpus=1), 2: Needs(gpus=2), 3: Needs(gpus=1), 4: Needs(gpus=0)}, ["3", "0", "1"])
    assert shares.give(1) == Share(None, ("3",)) and shares.give(2) == Share(None, ("0", "1"))
    assert shares.give(4) == Share(None, ())
    shares.back(1)
    shares.back(1)
    assert shares.give(3) == Share(None, ("3",))
    shares.back(2)
    shares.back(3)
    assert shares.give(2) == Share(None, ("3", "0"))


def test_who_says_nothing_is_given_nothing() -> None:
    assert not Shares({1: Needs(memory=5, timeout=1.0)})
    shares = Shares({1: Needs(cpus=1.5)})
    assert shares and shares.give(0) is None and shares.give(1) == Share(1.5, None)


def test_a_share_is_put_on_and_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.delenv(DEVICES, raising=False)
    before = dict(os.environ)
    with Surroundings().suit(Share(2.5, ("1", "GPU-aa"))):
        assert os.environ[DEVICES] == "1,GPU-aa" and {os.environ[name] for name in THREADS} == {"2"}
    assert dict(os.environ) == before
    with Surroundings().suit(Share(0.5, ())):
        assert os.environ[DEVICES] == "" and os.environ["OMP_NUM_THREADS"] == "1"
    assert dict(os.environ) == before


def threads() -> set[int]:
    """What the BLAS that is loaded here would use."""
    import numpy as np

    assert np.ones(1).sum() == 1
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}


def test_libraries_that_are_loaded_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before, surroundings = threads(), Surroundings()
    with surroundings.suit(Share(3, None)):
        assert threads() == {3}
    with surroundings.suit(Share(1, None)):
        assert threads() == {1}
    assert not surroundings.usual
    with surroundings.suit(None):
        assert threads() == before
    assert surroundings.usual
