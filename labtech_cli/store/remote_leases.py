"""Which run computes which task, in a storage without a database.

    leases/all.json            {"owner": OWNER}: one run holds everything; {"owner": "shared"}: look below
    leases/journal.json        {"owner": OWNER}: this run gives results other identities
    leases/leaving.json        {"owner": OWNER}: this run looks whether it is the last one
    leases/ab/KEY.json         {"owner": OWNER}: this run computes that task
    leases/ab/KEY.DEAD.json    {"owner": OWNER}: this run, and no other, takes that lease from the dead DEAD

A run that is the only one holds everything with one object, so that a claim costs nothing. When it sees
another one (it looks when it claims, once a second, and at each beat) it writes leases for the tasks it
has, and shares.
Every decision rests on one step that is atomic: to create an object that must not exist. To take the lease
of a dead run is to create the object that says so, named after the dead; only who made it writes over the
lease, and only where it then finds it still unchanged: else it was given back. So no two take one lease,
whatever they saw before; without `Place.exclusive`, two may at the very same instant, which costs double
work, never a wrong result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from labtech_cli.store.manifests import place_of
from labtech_cli.store.owners import SILENCE
from labtech_cli.store.places import Place
from labtech_cli.store.records import Claim
from labtech_cli.store.remote_index import Index
from labtech_cli.store.remote_runs import Runs

_ALL, _LEAVING, JOURNAL = "leases/all.json", "leases/leaving.json", "leases/journal.json"
_SHARED = "shared"
_LOOK_SECONDS = 1.0  # how often is looked for others, besides at each beat
_LEAVING_SECONDS = 2.0  # how long is waited for others that leave at the same time
_NOBODY = "0" * 32
"""Who holds a lease that cannot be read: dead, once it stayed so for `SILENCE`."""


class Leases:
    """The leases of this process."""

    def __init__(self, place: Place, runs: Runs, index: Index, clock: Callable[[], float] = time.monotonic) -> None:
        self._place, self._runs, self._index, self._clock = place, runs, index, clock
        self._held: set[str] = set()
        self._written: set[str] = set()
        """Those of `_held` that have an object of their own."""
        self._taken: dict[str, str] = {}
        """The objects that say that leases were taken from the dead, by the lease's name: they go with it."""
        self._whole = False
        self._shared = False
        """From the moment others were seen until we leave: who comes to hold everything sees us, and shares."""
        self._seen = False, -_LOOK_SECONDS
        """Whether others were there, and when that was looked up."""
        self._results: set[str] | None = None
        """The results there were when we came to hold everything: nobody else adds any while we do."""
        self._odd: dict[str, float] = {}

    def claiming(self) -> Callable[[str, bool], Claim]:
        """See `Storage.claiming`. Who else is there is looked up at the first claim, for all that follow."""
        found: list[Callable[[str, bool], Claim]] = []

        def ask(key: str, reuse: bool) -> Claim:
            if not found:
                found.append(self._asking())
            return found[0](key, reuse)

        return ask

    def _asking(self) -> Callable[[str, bool], Claim]:
        holder = _SHARED if self._shared else self._settle()
        if self._whole:
            return self._claim_of_all
        return self._claim if holder == _SHARED else Waiting(self._index).claim

    def alone(self) -> bool:
        """Whether claims are sure to be granted, as far as was seen a moment ago."""
        return not self._shared and not self._crowded()

    def _crowded(self, now: bool = False) -> bool:
        """Whether others are there; looked up now, or a moment ago."""
        if now or self._clock() - self._seen[1] >= _LOOK_SECONDS:
            self._seen = bool(self._runs.others()), self._clock()
        return self._seen[0]

    # -- everything ------------------------------------------------------------------------------

    def _settle(self) -> str:
        """Who holds everything: we, another live run, or nobody (`_SHARED`)."""
        own = self._runs.register().id
        if not self._whole:
            holder = self._read(_ALL) or ""
            if holder != _SHARED or self._is_left_over():
                holder = self._acquire(_ALL)
            if holder != own:
                self._shared = holder == _SHARED
                return holder
            self._whole, self._results = True, None
            if not self._crowded(now=True):
                self._place.remove([name for name in self._place.find("leases") if name != _ALL])
        if self.share():
            return _SHARED
        return own

    def sweep(self) -> None:
        """Remove the leases of the dead, where nobody else is there."""
        if not self._whole and self.are_left():
            self._settle()

    def are_left(self) -> bool:
        """Whether there are leases of the dead alone."""
        return bool(self._place.find("leases")) and not self._crowded(now=True)

    def _is_left_over(self) -> bool:
        """Whether those who shared are gone without having taken their sign down, which is done now."""
        if self._crowded(now=True):
            return False
        with self.only(_LEAVING) as mine:
            return mine and self._take_down()

    def share(self, now: bool = False) -> bool:
        """Write down what we hold when another run is there; whether that is so."""
        if not self._whole or not self._crowded(now):
            return False
        data = self._content()
        self._place.put({place_of("leases", key): data for key in self._held})
        self._written |= self._held
        self._place.put({_ALL: json.dumps({"owner": _SHARED}).encode()})
        self._whole, self._results = False, None
        self._shared = True
        return True

    def _claim_of_all(self, key: str, reuse: bool) -> Claim:
        if reuse and key not in self._held:
            if self._results is None:
                self._results = set(self._index.results.all())
            if key in self._results:
                return Claim.DONE
        self._held.add(key)
        return Claim.MINE

    @contextmanager
    def only(self, name: str) -> Iterator[bool]:
        """For what one process at a time may do: whether it is this one."""
        ours, mine = self._content(), self._acquire(name) == self._runs.register().id
        try:
            yield mine
        finally:
            if mine:
                self._drop([name], ours)

    # -- one task --------------------------------------------------------------------------------

    def _claim(self, key: str, reuse: bool) -> Claim:
        own = self._runs.register().id
        mine = key in self._held or self._acquire(place_of("leases", key)) == own
        if mine:
            self._held.add(key)
            self._written.add(key)
        if reuse and key in self._index.results.some([key]):  # after the lease: who had it before has committed
            if mine:
                self.release([key])
            return Claim.DONE
        return Claim.MINE if mine else Claim.HELD

    def _acquire(self, name: str) -> str:
        """Take a lease if nobody who lives has it; who has it then."""
        own = self._runs.register().id
        for _ in range(3):  # again when it was given back meanwhile
            if self._place.create({name: self._content()}):
                return own
            holder = self._holder(name)
            if holder is None:
                continue
            if holder in (own, _SHARED) or self._lives(name, holder):
                return holder
            taken = _taken(name, holder)
            if not self._place.create({taken: self._content()}):
                return self._holder(name) or _NOBODY
            if self._holder(name) == own:
                self._place.put({name: self._content()})
                self._taken[name] = taken
                return own
            self._place.remove([taken])
        return _NOBODY

    def _holder(self, name: str) -> str | None:
        """Who has a lease, the taking of dead ones included; None if nobody."""
        holder = self._read(name)
        while holder is not None and holder != _SHARED and not self._lives(name, holder):
            taker = self._read(_taken(name, holder))
            if taker is None:
                break
            holder = taker
        return holder

    def _read(self, name: str) -> str | None:
        data = self._place.read([name]).get(name)
        if data is None:
            return None
        try:
            owner = json.loads(data)["owner"]
        except (ValueError, TypeError, KeyError):
            return _NOBODY
        return owner if isinstance(owner, str) and len(owner) <= 32 and owner.isalnum() else _NOBODY

    def _lives(self, name: str, holder: str) -> bool:
        if holder == _NOBODY:
            return self._clock() - self._odd.setdefault(name, self._clock()) < SILENCE
        own = self._runs.owner
        return (own is not None and holder == own.id) or self._runs.lives(holder)

    def _content(self) -> bytes:
        return json.dumps({"owner": self._runs.register().id}).encode()

    # -- the end ---------------------------------------------------------------------------------

    def release(self, keys: Sequence[str]) -> None:
        """Give leases back. One that was taken from us, because we seemed dead, is let be."""
        written = self._written.intersection(keys)
        if written:
            self._drop([place_of("leases", key) for key in written], self._content())
        self._held.difference_update(keys)
        self._written -= written

    def _drop(self, names: list[str], ours: bytes) -> None:
        found = [name for name, data in self._place.read(names).items() if data == ours]
        self._place.remove(found + [self._taken.pop(name) for name in names if name in self._taken])

    def leave(self) -> None:
        """Give everything back, and be no run any more."""
        if self._runs.owner is not None:
            try:
                self.release(list(self._held))
                if self._whole:
                    self._drop([_ALL], self._content())
                elif self._read(_ALL) == _SHARED:
                    self._leave_one_by_one()
            finally:
                self._runs.leave()
        self.forget()

    def _leave_one_by_one(self) -> None:
        """The last one to leave takes the sign down that says that it is shared.

        One at a time looks and goes, so that of two that leave at once one sees that it is the last. Who is not
        leaves its turn behind as that of a dead run, to be taken by the next: to give it back once we are no run any
        more could take away that of whom it was taken by meanwhile, and two would look at once. Where all of it takes
        too long, the sign stays: the next run to come takes it down.
        """
        until = time.monotonic() + _LEAVING_SECONDS
        while time.monotonic() < until:
            if self._acquire(_LEAVING) == self._runs.register().id:
                if self._take_down():
                    self._drop([_LEAVING], self._content())
                elif _LEAVING in self._taken:
                    self._place.remove([self._taken.pop(_LEAVING)])
                return
            time.sleep(0.01)

    def _take_down(self) -> bool:
        """Whether nobody is there to share with; then the sign is gone. Only for whose turn it is."""
        if self._runs.others():
            return False
        self._place.remove([_ALL])
        return True

    def forget(self) -> None:
        """Know of no leases: those of a process that this one was forked from are not ours."""
        self._held, self._written, self._taken, self._results = set(), set(), {}, None
        self._whole = self._shared = False
        self._seen = False, -_LOOK_SECONDS


class Waiting:
    """Claims while another run holds everything: it shares at its next beat."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._results: set[str] | None = None

    def claim(self, key: str, reuse: bool) -> Claim:
        if self._results is None:
            self._results = set(self._index.results.all()) if reuse else None
        return Claim.DONE if reuse and key in (self._results or ()) else Claim.HELD


def _taken(name: str, dead: str) -> str:
    return f"{name.removesuffix('.json')}.{dead}.json"
