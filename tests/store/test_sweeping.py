"""Which results are to go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labtech_cli.store.records import Row
from labtech_cli.store.sweeping import Choice, Rules, choose


def row(key: str, at: float, size: int = 10, kind: str = "m.T") -> Row:
    return Row(key, kind, None, "{}", "pickle", at, 1.0, size)


ROWS = [row("a", 1), row("b", 2), row("c", 3, 50), row("d", 4, kind="m.U"), row("e", 5)]


def went(rules: Rules, *needed: str) -> tuple[dict[str, str], Choice]:
    found = choose(ROWS, rules, set(needed))
    return {item.key: rule for item, rule in found.remove}, found


def test_what_is_older_goes() -> None:
    assert went(Rules(before=3))[0] == {"a": "older-than", "b": "older-than"}


def test_what_is_stale_goes() -> None:
    assert went(Rules(stale={"c", "gone"}))[0] == {"c": "stale"}


def test_every_rule_may_send_a_result_away() -> None:
    removed, found = went(Rules(before=2, stale={"c"}, max_size=10))
    assert removed == {"a": "older-than", "c": "stale", "b": "max-size", "d": "max-size"}
    assert (found.left, found.left_bytes) == (1, 10)


def test_the_oldest_go_until_the_rest_fits() -> None:
    assert went(Rules(max_size=90))[0] == {}
    assert went(Rules(max_size=89))[0] == {"a": "max-size"}
    assert list(went(Rules(max_size=20))[0]) == ["a", "b", "c"]
    assert len(went(Rules(max_size=0))[0]) == 5


def test_the_newest_of_each_type_stay_whatever_the_others_say() -> None:
    assert went(Rules(keep_last=1))[0] == dict.fromkeys("abc", "keep-last")
    assert went(Rules(keep_last=0))[0].keys() == set("abcde")
    assert went(Rules(keep_last=2, before=9))[0].keys() == {"a", "b"}
    removed, found = went(Rules(keep_last=1, max_size=5))
    assert removed.keys() == set("abc") and found.left_bytes == 20


def test_what_live_runs_need_stays_and_is_counted() -> None:
    removed, found = went(Rules(before=3), "a", "e")
    assert removed.keys() == {"b"} and found.needed == 1
    removed, found = went(Rules(max_size=25), "a", "b")
    assert removed.keys() == {"c", "d", "e"} and found.needed == 2 and found.left_bytes == 20
    assert went(Rules(keep_last=1), "e")[1].needed == 0


@given(
    st.lists(st.tuples(st.floats(0, 9), st.integers(0, 9), st.sampled_from("TUV")), max_size=30),
    st.builds(
        Rules,
        st.none() | st.floats(0, 9),
        st.none() | st.sets(st.integers(0, 30).map(str)),
        st.none() | st.integers(0, 4),
        st.none() | st.integers(0, 100),
    ),
    st.sets(st.integers(0, 30).map(str)),
)
def test_whatever_the_rules(items: list[tuple[float, int, str]], rules: Rules, needed: set[str]) -> None:
    rows = [row(str(number), *item) for number, item in enumerate(items)]
    found = choose(rows, rules, needed)
    gone = {item.key for item, _ in found.remove}
    staying = [item for item in rows if item.key not in gone]
    assert not gone & needed and len(gone) == len(found.remove)
    assert (found.left, found.left_bytes) == (len(staying), sum(item.size for item in staying))
    for kind in "TUV":
        of_type = [item for item in rows if item.type == kind]
        kept = [item for item in staying if item.type == kind]
        assert len(kept) >= min(rules.keep_last or 0, len(of_type))
