"""Who lives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from labtech_cli.store.owners import SILENCE, Watch, born, new_owner, this_host


def test_this_process_lives_and_each_owner_is_another_one() -> None:
    first, second = new_owner(), new_owner()
    assert Watch().lives(first) and first.id != second.id
    assert first.pid == os.getpid() and first.host == this_host()


def test_an_owner_whose_process_ended_or_whose_pid_went_to_another_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = new_owner()._replace(pid=child.pid, born=str(born(child.pid)))
    assert Watch().lives(owner)
    assert not Watch().lives(owner._replace(born="1"))
    child.kill()
    assert child.stdin is not None
    child.stdin.close()
    while born(child.pid) is not None:  # a zombie is dead already
        pass
    assert not Watch().lives(owner)
    child.wait()
    assert not Watch().lives(owner)


def test_an_owner_elsewhere_dies_when_its_beat_stops_by_our_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    watch = Watch(lambda: now[0])
    owner = new_owner()._replace(host="elsewhere", began=5e9)  # whatever its clock says
    assert watch.lives(owner)
    now[0] += SILENCE - 1
    assert watch.lives(owner)
    assert watch.lives(owner._replace(beat=1))
    now[0] += SILENCE - 1
    assert watch.lives(owner._replace(beat=1))
    now[0] += 2
    assert not watch.lives(owner._replace(beat=1))
    assert watch.lives(owner._replace(beat=2))


def test_the_name_of_the_machine_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABTECH_HOST", "left")
    owner = new_owner()
    monkeypatch.setenv("LABTECH_HOST", "right")
    assert owner.host == "left" and this_host() == "right"
    assert Watch().lives(owner._replace(pid=2**22 + 1)), "its pid means nothing here"
