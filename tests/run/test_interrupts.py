"""Signals as a number, and what a run does about them."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from runner_kit import Log, make_lab
from sample_tasks import Meets, Number, wait_until

from labtech_cli.core.events import Event, Outcome, TaskFinished, Warned
from labtech_cli.errors import RunInterrupted
from labtech_cli.run.interrupts import Interrupts


def test_signals_raise_the_level_and_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert (interrupts.level, interrupts.exit_status) == (1, 130)
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.level == 2
        os.kill(os.getpid(), signal.SIGTERM)
        assert (interrupts.level, interrupts.exit_status) == (2, 143)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_outside_the_main_thread_it_does_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[Any] = []

    def use() -> None:
        with Interrupts() as interrupts:
            seen.extend([signal.getsignal(signal.SIGINT), interrupts.level])

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [before, 0]


class Interrupting(Log):
    """Sends this process a signal once two tasks are there, and lets one of them end after the first."""

    def __init__(self, folder: Path, *signals: int) -> None:
        super().__init__()
        self.folder, self.signals = folder, list(signals)
        self.interval = 0.02

    def tick(self, now: float, active: Any) -> None:
        if len(list(self.folder.glob("here-*"))) >= 2 and self.signals:
            os.kill(os.getpid(), self.signals.pop(0))

    def handle(self, event: Event) -> None:
        super().handle(event)
        if type(event) is Warned and not self.signals:
            (self.folder / "here-last").touch()


def test_the_first_interrupt_lets_running_tasks_finish_and_starts_nothing_new(tmp_path: Path) -> None:
    log = Interrupting(tmp_path, signal.SIGINT)
    tasks = [*[Meets(value, 3, str(tmp_path)) for value in range(2)], *[Number(value) for value in range(200)]]
    lab = make_lab(tmp_path, "fork")
    prepared = lab.prepare(tasks)
    prepared.seconds[:2] = [9.0, 9.0]  # these two first
    result = lab.execute(prepared, [log])
    assert result.interrupted and result.exit_code == 130
    assert [log.outcomes()[task] for task in tasks[:2]] == [Outcome.SUCCEEDED] * 2
    assert result.counts["cancelled"] == 200
    assert "waiting for 2 running tasks, the longest has run for" in log.of(Warned)[0].message


@pytest.mark.parametrize("runner", ["fork", "process", "thread"])
@pytest.mark.parametrize("signals", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)], ids=["twice", "term"])
def test_the_second_interrupt_and_a_request_to_terminate_stop_them(
    tmp_path: Path, runner: str, signals: tuple[int, ...]
) -> None:
    class Stopping(Interrupting):
        def handle(self, event: Event) -> None:
            Log.handle(self, event)

    log = Stopping(tmp_path, *signals)
    tasks = [Meets(value, 9, str(tmp_path)) for value in range(2)]
    lab = make_lab(tmp_path, runner)
    with pytest.raises(RunInterrupted) as caught:
        lab.run_tasks(tasks, disable_progress=True, reporters=[log])
    assert caught.value.exit_status == (143 if signals == (signal.SIGTERM,) else 130)
    assert {event.outcome for event in log.of(TaskFinished)} == {Outcome.CANCELLED}
    for number in range(9):
        (tmp_path / f"here-{number}").touch()  # threads cannot be stopped: let them go
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("labtech-")])
    assert lab.storage.present() == {}
