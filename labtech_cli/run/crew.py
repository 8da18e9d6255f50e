"""Which worker of a pool gets a task, and how many tasks wait in its queue.

Each worker is given as many tasks as fill about 20 ms, judged by how long the last ones took. Where
tasks are given GPUs, each goes to a process that ran with the same ones before, or ran nothing yet:
CUDA keeps what it found at its first use.
"""

from __future__ import annotations

from collections.abc import Sequence

from labtech_cli.run.handle import WorkerHandle
from labtech_cli.run.runner import Work

MAX_BATCH = 256
BATCH_SECONDS = 0.02
_PACKED_SECONDS = 0.0003  # tasks shorter than this cost less than sending them to another worker does


class Crew:
    """The workers of a pool by slot, and what is to be known to choose among them."""

    def __init__(self) -> None:
        self.workers: dict[int, WorkerHandle] = {}
        self.lanes: dict[int, int] = {}  # which worker a running task was given to
        self.waiting: list[Work] = []  # work that no worker can take yet
        self._seconds = BATCH_SECONDS  # a smoothed duration of the last tasks
        self._filled: WorkerHandle | None = None  # the worker that very short tasks go to
        self._divided = False  # whether there are tasks with GPUs of their own

    def depth(self) -> int:
        """How many tasks a worker is given at a time."""
        return max(1, min(MAX_BATCH, int(BATCH_SECONDS / max(self._seconds, 1e-6))))

    def room(self) -> int:
        """How many more tasks are wanted."""
        depth = self.depth()
        return sum([max(0, depth - len(worker.in_flight)) for worker in self.workers.values()]) - len(self.waiting)

    def took(self, seconds: float) -> None:
        """A task ended: long ones count more, so that nothing waits behind the next."""
        self._seconds += (0.1 if seconds < self._seconds else 0.5) * (seconds - self._seconds)

    def slowed(self) -> None:
        """A worker gave tasks back that waited behind a long one."""
        self._seconds = max(self._seconds, BATCH_SECONDS)

    def can_follow(self, after: Sequence[int]) -> bool:
        """See `Runner.can_follow`."""
        depth = self.depth()
        slots = {self.lanes.get(number) for number in after}
        worker = self.workers.get(slots.pop() if len(slots) == 1 else None)  # type: ignore[arg-type]
        if worker is None or depth == 1 or len(worker.in_flight) >= depth:
            return False
        return all([number in worker.in_flight for number in after])

    def choose(self, work: Work) -> WorkerHandle | None:
        """The least busy worker; among those, one that holds the inputs already. None: it has to wait.

        Very short tasks fill one worker before the next: what depends on them can follow them there.
        """
        if self._divided or (work.share is not None and work.share.gpus is not None):
            self._divided = True
            return self._choose_by_gpus(work)
        filled = self._filled
        if self._seconds < _PACKED_SECONDS:
            if filled is None or len(filled.in_flight) >= MAX_BATCH or self.workers.get(filled.slot) is not filled:
                free = [worker for worker in self.workers.values() if len(worker.in_flight) < MAX_BATCH]
                filled = max(free or self.workers.values(), key=lambda worker: len(worker.in_flight))
                self._filled = filled
            return filled
        workers = list(self.workers.values())
        least = min([len(worker.in_flight) for worker in workers])
        idle = [worker for worker in workers if len(worker.in_flight) == least]
        if len(idle) == 1 or not work.inputs:
            return idle[0]
        return max(idle, key=lambda worker: sum([1 for need in work.inputs if need in worker.held]))

    def _choose_by_gpus(self, work: Work) -> WorkerHandle | None:
        """As above, among those that see the same GPUs. Where there is none, one that is idle has to leave: the one
        that comes in its place can take the task."""
        gpus = work.share.gpus if work.share is not None else None
        most = 1 if gpus else self.depth()
        able = [
            worker
            for worker in self.workers.values()
            if len(worker.in_flight) < most and not worker.leaves and (worker.fresh or worker.gpus == gpus)
        ]
        if able:
            chosen = min(able, key=lambda worker: (len(worker.in_flight), worker.fresh))
            chosen.gpus = gpus
            return chosen
        leaving = sum(1 for worker in self.workers.values() if worker.leaves)
        idle = [worker for worker in self.workers.values() if not worker.in_flight and not worker.leaves]
        if idle and leaving <= len(self.waiting):
            idle[0].leave()
        return None
