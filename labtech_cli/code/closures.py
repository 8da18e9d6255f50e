"""The code behind each task of a graph: its own type's, and that of everything it depends on.

A result is made by its task's code from results that other code made, so what it is recorded with is
the *closure*: the code digest of every task type below it, and of every Enum type whose members are
among the parameters, unless the task type's own code has it already. A closure is kept as a document whose digest
is one short text per result, and there are few of them: tasks of one shape share theirs.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

from labtech_cli.code.fingerprint import edited_modules, fingerprint, is_projects
from labtech_cli.code.members import enums_of
from labtech_cli.code.model import Fingerprint
from labtech_cli.code.record import to_json
from labtech_cli.core.graph import Graph

SCHEMA = "labtech.codes/1"
Closure = frozenset[tuple[str, str]]
"""Pairs of the name of a task type, or of an Enum type, and the digest of its code. A type appears twice
where results that two versions of it made have met."""


class Codes:
    """What code the tasks of `graph` are made by, as it is now."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.types: dict[type, Fingerprint] = {}
        self._own: dict[tuple[type, frozenset[type]], Closure] = {}
        self._enums = [enums_of(task) for task in graph.tasks]
        self.edited: dict[type, str] = {}
        """What stands for the code of types of which that is not known any more (see `note_edits`)."""
        self._closures: list[Closure] = []
        self._numbers: dict[Closure, int] = {}
        self._texts: dict[int, tuple[str, str]] = {}
        self.current = self._walk(lambda number: None)
        """The number of each task's closure, if everything below it were made by the code as it is."""

    def actual(self, loaded: Callable[[int], Closure | None]) -> list[int]:
        """The closures of what a run makes, where `loaded(number)` is that of a result made by other code."""
        return self._walk(loaded)

    def note_edits(self, *, imported: bool) -> list[str]:
        """Look whether files were changed that workers may import only now: the names of the types that are made from
        now on by nobody knows which code. `imported`: workers import all modules anew, not only those that are not
        imported here. Without such modules a look costs a few microseconds, else that much a file."""
        names = edited_modules(imported=imported)
        types = self.types.items() if names else ()
        found = {
            kind: own.type
            for kind, own in types
            if kind not in self.edited and any(symbol.partition(":")[0] in names for symbol in own.symbols)
        }
        self.edited |= {kind: f"edited:{uuid.uuid4().hex}" for kind in found}
        if found:
            self._own = {}
        return list(found.values())

    def digest(self, closure: int) -> str:
        """The digest of a closure's document."""
        return self._text(closure)[0]

    def closure(self, number: int) -> Closure:
        """The closure of this number."""
        return self._closures[number]

    def of_closure(self, number: int) -> dict[str, Fingerprint]:
        """The code of the types in one of the graph's own closures, by their names."""
        names = {name for name, _ in self._closures[number]}
        return {known.type: known for known in self.types.values() if known.type in names}

    def documents(self, closures: Iterable[int]) -> dict[str, str]:
        """The documents to keep with results of these closures: theirs and their types'."""
        wanted = set(closures)
        found = dict(self._text(closure) for closure in wanted)
        digests = {digest for closure in wanted for _, digest in self._closures[closure]}
        found.update({known.digest: to_json(known) for known in self.types.values() if known.digest in digests})
        return found

    def packages(self) -> dict[str, str]:
        """The installed packages that the code of any of the types imports, with their versions."""
        return {name: version for known in self.types.values() for name, version in known.packages.items()}

    def _walk(self, loaded: Callable[[int], Closure | None]) -> list[int]:
        """Bottom-up; what has the same type, Enum types and closures below it has the same closure."""
        found: list[int] = []
        known: dict[tuple[type, frozenset[type], frozenset[int]], int] = {}
        for number, task in enumerate(self._graph.tasks):
            given = loaded(number)
            if given is not None:
                found.append(self._number(given))
                continue
            deps = self._graph.deps[number]
            below = frozenset([found[dep] for dep in deps]) if deps else frozenset()
            shape = type(task), self._enums[number], below
            if shape not in known:
                closures = [self._closures[closure] for closure in below]
                known[shape] = self._number(self._own_code(*shape[:2]).union(*closures))
            found.append(known[shape])
        return found

    def _own_code(self, kind: type, enums: frozenset[type]) -> Closure:
        """The code of a task type, and of the Enum types of its values that it does not include."""
        if (kind, enums) not in self._own:
            own = self.types[kind] = fingerprint(kind)
            codes = {(own.type, self.edited.get(kind, own.digest))}
            for enum, code in [(enum, fingerprint(enum)) for enum in enums if is_projects(enum)]:
                if not code.symbols.keys() <= own.symbols.keys():
                    self.types[enum] = code
                    codes.add((code.type, self.edited.get(enum, code.digest)))
            self._own[kind, enums] = frozenset(codes)
        return self._own[kind, enums]

    def _number(self, closure: Closure) -> int:
        if closure not in self._numbers:
            self._numbers[closure] = len(self._closures)
            self._closures.append(closure)
        return self._numbers[closure]

    def _text(self, closure: int) -> tuple[str, str]:
        if closure not in self._texts:
            self._texts[closure] = closure_document(self._closures[closure])
        return self._texts[closure]


def closure_document(closure: Closure) -> tuple[str, str]:
    """The digest and the text of a closure's document."""
    types: dict[str, list[str]] = {}
    for name, digest in sorted(closure):
        types.setdefault(name, []).append(digest)
    text = json.dumps({"schema": SCHEMA, "types": types}, separators=(",", ":"), sort_keys=True)
    return blake2b(text.encode(), digest_size=16).hexdigest(), text


def read_closure(text: str) -> Closure:
    """The reverse of `closure_document`. Raises ValueError for any other text."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("not a list of codes") from None
    if not isinstance(found, Mapping) or found.get("schema") != SCHEMA or not isinstance(found.get("types"), dict):
        raise ValueError("not a list of codes")
    pairs = [(name, digest) for name, digests in found["types"].items() for digest in _texts(digests)]
    return frozenset(pairs)


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("not a list of codes")
    return value
