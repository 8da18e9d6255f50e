"""Who uses a storage without a database: one object for each run, which it writes anew while it lives.

    runs/OWNER.json     the owner, with its beat
    runs/OWNER.needs    the keys that nothing may remove

An owner is registered before it writes anything else, so whatever is found of an owner that is not
registered is a dead one's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence

from labtech_cli.store.owners import Watch, new_owner, this_host
from labtech_cli.store.places import Place, Stamp
from labtech_cli.store.records import Owner

GRACE = 3600.0
"""For so long, by the storage's own clock, what another machine left is let be, though it seems dead."""
_OWNER = re.compile(r"[0-9a-f]{32}")
_KINDS = {"id": str, "host": str, "pid": int, "born": str, "began": (int, float), "beat": int}


class Runs:
    """This process as an owner, and the others."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._watch = Watch()
        self._owner: Owner | None = None
        self._pid = 0

    @property
    def owner(self) -> Owner | None:
        """This process's registration, if it has one; a forked process has none of its parent's."""
        return self._owner if self._pid == os.getpid() else None

    def register(self) -> Owner:
        """This process as an owner of the storage, from now on."""
        if self.owner is None:
            self._owner, self._pid = new_owner(), os.getpid()
            self._watch = Watch()
            try:
                self._place.make(self._owner.id)
                self._place.announce(*self._registration())
            except BaseException:
                self._owner = None
                raise
        assert self._owner is not None
        return self._owner

    def _registration(self) -> tuple[str, bytes]:
        assert self._owner is not None
        return _name(self._owner.id), json.dumps(self._owner._asdict()).encode()

    def beat(self) -> None:
        """Live on."""
        self._owner = self.register()._replace(beat=self.register().beat + 1)
        self._place.put(dict([self._registration()]))

    def need(self, keys: Collection[str]) -> None:
        """Nothing is to remove these results while this owner lives."""
        name = f"runs/{self.register().id}.needs"
        self._place.put({name: json.dumps(sorted(keys)).encode()})

    def leave(self) -> None:
        """No longer an owner."""
        if (owner := self.owner) is not None:
            self._place.remove([f"runs/{owner.id}.needs", _name(owner.id)])
            self._owner = None

    # -- the others ------------------------------------------------------------------------------

    def others(self) -> list[Owner]:
        """The other owners that live: one listing, and their beats."""
        own = self.owner.id if self.owner else ""
        return [found for found in self._all() if found.id != own and self._watch.lives(found)]

    def has_dead(self) -> bool:
        """Whether a dead run of this machine is still registered."""
        here = this_host()
        return any(owner.host == here and not self._watch.lives(owner) for owner in self._all())

    def _all(self) -> list[Owner]:
        names = [name for name in self._place.find("runs") if name.endswith(".json")]
        read = [_decode(name, data) for name, data in self._place.read(names).items()]
        return [owner for owner in read if owner is not None]

    def lives(self, owner_id: str) -> bool:
        """Whether an owner lives, looked up now."""
        if not _OWNER.fullmatch(owner_id):
            return False
        name = _name(owner_id)
        data = self._place.read([name]).get(name)
        found = _decode(name, data) if data is not None else None
        return found is not None and self._watch.lives(found)

    def needed(self) -> set[str]:
        """What the others need."""
        data = self._place.read([f"runs/{owner.id}.needs" for owner in self.others()])
        found: set[str] = set()
        for text in data.values():
            try:
                found.update(key for key in json.loads(text) if isinstance(key, str))
            except (ValueError, TypeError):
                continue
        return found

    def sweep(self) -> None:
        """Forget dead owners: those of this machine at once, those elsewhere when they were silent for `GRACE`."""
        stamps = self._place.find("runs")
        here = self.register()
        others = [owner for owner in self._all() if owner.id != here.id]
        dead = [owner for owner in others if owner.host == here.host and not self._watch.lives(owner)]
        if away := [owner for owner in others if owner.host != here.host and _name(owner.id) in stamps]:
            now = self._place.now()
            dead += [owner for owner in away if 0 < stamps[_name(owner.id)].time < now - GRACE]
        self._sweep_unreadable(stamps, others)
        for owner in dead:
            self._place.remove([f"runs/{owner.id}.needs", _name(owner.id)])
        gone = {owner.id for owner in dead}
        known = {owner.id for owner in others} - gone | {here.id}
        self._place.sweep(lambda owner: owner in known or self.registered(owner))

    def _sweep_unreadable(self, stamps: Mapping[str, Stamp], others: Sequence[Owner]) -> None:
        """Registrations that were never finished."""
        readable = {self.register().id, *[owner.id for owner in others]}
        odd = [name for name in stamps if name.endswith(".json") and _id(name) not in readable]
        if odd:
            now = self._place.now()
            self._place.remove([name for name in odd if 0 < stamps[name].time < now - GRACE])

    def registered(self, owner_id: str) -> bool:
        """Whether there is such an owner, dead or alive."""
        return bool(_OWNER.fullmatch(owner_id)) and _name(owner_id) in self._place.read([_name(owner_id)])


def _name(owner_id: str) -> str:
    return f"runs/{owner_id}.json"


def _id(name: str) -> str:
    return name.removeprefix("runs/").removesuffix(".json")


def _decode(name: str, data: bytes) -> Owner | None:
    """An owner as it was registered; None for anything else."""
    try:
        found = json.loads(data)
        values = {field: found[field] for field in Owner._fields}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if any(not isinstance(value, _KINDS[field]) for field, value in values.items()):  # type: ignore[arg-type]
        return None
    owner = Owner(**values)
    return owner if _OWNER.fullmatch(owner.id) and name == _name(owner.id) else None
