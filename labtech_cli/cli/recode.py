"""The closures that migrated and accepted results are recorded with, and the documents to keep beside them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from labtech_cli.cli.catalogue import module_of, short
from labtech_cli.code.closures import Closure, closure_document
from labtech_cli.code.fingerprint import fingerprint_of
from labtech_cli.code.model import Fingerprint
from labtech_cli.code.record import renamed, to_json
from labtech_cli.recorded import Recorded
from labtech_cli.store.migrate import Change
from labtech_cli.store.reshape import Request


class Recoder:
    """Gives closures other contents; `documents` are what results will name then."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self.documents: dict[str, str] = {}
        self._live: dict[str, Fingerprint | None] = {}
        self._done: dict[str, str] = {}

    def accepted(self, digest: str, live: Mapping[str, Fingerprint]) -> tuple[str, list[str]]:
        """The closure with the code of `live` in place of what it has of these types, and the types where that differs.

        A closure whose document is lost is left alone.
        """
        closure = self._recorded.known_closure(digest) or frozenset()
        names = sorted({name for name, code in closure if name in live and live[name].digest != code})
        if not names:
            return digest, []
        self.documents.update({live[name].digest: to_json(live[name]) for name in names})
        return self._kept(
            frozenset((name, live[name].digest if name in names else code) for name, code in closure)
        ), names

    def follow(self, changes: Sequence[Change], request: Request) -> list[Change]:
        """The changes, with closures that name what moved as it is called now."""
        if request.old == request.new:
            return list(changes)
        if str(Path.cwd()) not in sys.path:  # where the new code is, if it is anywhere; it is only read
            sys.path.append(str(Path.cwd()))
        return [
            replace(change, move=replace(change.move, code=self._followed(change.move.code, request)))
            if change.move.code and not change.reason.startswith("replaced by")
            else change
            for change in changes
        ]

    def _followed(self, digest: str, request: Request) -> str:
        if digest not in self._done:
            closure = self._recorded.known_closure(digest)
            pairs = [self._pair(name, code, request) for name, code in closure or ()]
            self._done[digest] = digest if closure is None else self._kept(frozenset(pairs))
        return self._done[digest]

    def _pair(self, name: str, code: str, request: Request) -> tuple[str, str]:
        """A type's new name, and the digest of its code as it would be had everything always had its new name.

        Where the code that is there now is the same text under the same names, it is the same code: what it
        refers to is what moved.
        """
        new_name = request.renamed(name)
        then = self._recorded.fingerprint(code)
        if then is None:
            return new_name, code
        old, new = request.old.removesuffix(".*"), request.new.removesuffix(".*")
        now, live = renamed(then, old, new), self._code(new_name)
        if live is not None and _texts(now, short(old), short(new)) == _texts(live, "", ""):
            now = live
        self.documents[now.digest] = to_json(now)
        return new_name, now.digest

    def _code(self, name: str) -> Fingerprint | None:
        """The code that a type has now, read from its file; None where there is none."""
        if name not in self._live:
            found = fingerprint_of(module_of(name), short(name)) if module_of(name) else None
            self._live[name] = found if found is not None and found.symbols else None
        return self._live[name]

    def _kept(self, closure: Closure) -> str:
        digest, text = closure_document(closure)
        self.documents[digest] = text
        return digest


def _texts(code: Fingerprint, old: str, new: str) -> dict[str, str]:
    """What is written of each symbol, with one name in place of another."""
    word = re.compile(rf"\b{re.escape(old)}\b") if old != new else None
    return {name: word.sub(new, item.source) if word else item.source for name, item in code.symbols.items()}
