"""What a storage knows of the code behind its results."""

from __future__ import annotations

from pathlib import Path

from labtech_cli.code.closures import closure_document
from labtech_cli.code.model import Fingerprint, Symbol, digest_of_symbols
from labtech_cli.code.record import to_json
from labtech_cli.recorded import Cause, Recorded, describe, live_code
from labtech_cli.store.local import LocalStorage


def code(kind: str, **symbols: str) -> Fingerprint:
    """The code of a type whose symbols have these texts."""
    made = {f"m:{name}": Symbol(f"m:{name}", text * 32, "m.py", 1, text) for name, text in symbols.items()}
    return Fingerprint(kind, digest_of_symbols(made), made, (), {}, ())


def recorded(folder: Path, *codes: Fingerprint, keep: bool = True) -> tuple[Recorded, str]:
    """A storage that keeps a closure of these codes, and the codes if `keep`; the closure's digest."""
    storage = LocalStorage(folder)
    digest, text = closure_document(frozenset((item.type, item.digest) for item in codes))
    storage.keep({digest: text, **({item.digest: to_json(item) for item in codes} if keep else {})})
    return Recorded(storage), digest


def test_causes_name_the_types_whose_code_is_another_the_own_one_first(tmp_path: Path) -> None:
    known, digest = recorded(tmp_path, code("m.A", f="a"), code("m.B", g="b"), code("m.C", h="c"))
    now = {"m.A": code("m.A", f="0"), "m.B": code("m.B", g="1"), "m.C": code("m.C", h="c")}
    found = known.causes(digest, now, "m.B")
    assert [cause.type for cause in found] == ["m.B", "m.A"]
    assert describe(found) == "m.py:g changed, m.py:f changed"
    assert describe(found, kinds=False) == "m.py:g, m.py:f"
    assert known.differs(digest, now) and not known.differs(digest, {"m.C": now["m.C"], "m.D": now["m.A"]})


def test_a_change_of_code_that_was_not_kept_is_still_a_change(tmp_path: Path) -> None:
    known, digest = recorded(tmp_path, code("m.A", f="a"), keep=False)
    found = known.causes(digest, {"m.A": code("m.A", f="0")}, "m.A")
    assert found == [Cause("m.A", ())] and describe(found) == "the code of m.A changed"


def test_a_closure_that_is_lost_differs_from_nothing_that_is_known(tmp_path: Path) -> None:
    known, _ = recorded(tmp_path)
    assert known.known_closure("0" * 32) is None and not known.differs("0" * 32, {"m.A": code("m.A")})
    assert known.closure("0" * 32) == {("unknown code", "0" * 32)}
    assert known.causes("0" * 32, {"m.A": code("m.A")}, "m.A") == [Cause("m.A", ())]


def test_live_code_is_that_of_types_which_are_imported() -> None:
    assert live_code(["nowhere.Type", "json.JSONDecoder"], {}) == {}


def test_results_that_were_set_aside_are_known_by_their_keys(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.aside() == []
    (tmp_path / "damaged" / ("ab" * 16 + ".0123")).mkdir(parents=True)
    assert [item.key for item in storage.aside()] == ["ab" * 16]
