"""The score: every edit that changes what a task computes is noticed, and no other is."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_project import MODULES, Bench, outputs
from corpus import Edit, project, semantic
from cosmetic import cosmetic

from labtech_cli.code import fingerprint as code
from labtech_cli.code import modules

FILES = project()
SEMANTIC = list(semantic(FILES))
COSMETIC = list(cosmetic(FILES))
ELSEWHERE = [edit for edit in SEMANTIC if not edit.tasks]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(modules, "parse", functools.lru_cache(maxsize=4096)(modules.parse))  # an edit changes one file
    tests = str(Path(__file__).parents[1])
    for name, module in list(sys.modules.items()):  # no part of that project: it is read faster without
        if str(getattr(module, "__file__", None)).startswith(tests):
            monkeypatch.delitem(sys.modules, name)
    yield Bench(tmp_path, FILES)
    for name in [name for name in sys.modules if name.partition(".")[0] in MODULES]:
        del sys.modules[name]
    code.forget()


def changed(before: dict[str, str], after: dict[str, str]) -> frozenset[str]:
    return frozenset(name for name in after if before[name] != after[name])


def score_semantic(bench: Bench, edits: list[Edit]) -> None:
    types = bench.load()
    digests, results = bench.digests(), outputs(types)
    wrong: list[str] = []
    noticed = behaved = 0
    for edit in edits:
        with bench.edited(edit.path, edit.text):
            try:
                types = bench.load()
            except Exception:  # the edited module cannot be imported: its text must still tell
                types = {}
            other = changed(results, outputs(types))
            found = changed(digests, bench.digests())
            if not types:  # plug-ins are only known where they are loaded
                found = found & (edit.tasks | {"Solo"})
        behaved += bool(other)
        noticed += found == edit.tasks and bool(found)
        if found != edit.tasks or not other <= found:
            wrong.append(f"{edit.kind} {edit.place}: {set(found)}, not {set(edit.tasks)}; results of {set(other)}")
    reachable = sum(bool(edit.tasks) for edit in edits)
    print(f"semantic: {noticed} of {reachable} noticed, {len(edits) - reachable} elsewhere, {behaved} change results")
    assert not wrong, "\n".join(wrong)
    assert noticed == reachable
    assert behaved > 0.6 * reachable


def score_cosmetic(bench: Bench, edits: list[Edit], *, run_each: int) -> None:
    types = bench.load()
    digests, results = bench.digests(), outputs(types)
    wrong: list[str] = []
    for number, edit in enumerate(edits):
        with bench.edited(edit.path, edit.text):
            code.forget()
            if number % run_each == 0 and edit.place != "aside.py broken":
                assert outputs(bench.load()) == results, f"{edit.kind} {edit.place} is no cosmetic edit"
            found = changed(digests, bench.digests())
        if found:
            wrong.append(f"{edit.kind} {edit.place}: {set(found)}")
    print(f"cosmetic: {len(wrong)} false of {len(edits)}")
    assert not wrong, "\n".join(wrong)


def test_the_corpus_is_large_and_varied_and_each_edit_is_python() -> None:
    assert len(SEMANTIC) - len(ELSEWHERE) >= 400 and len(COSMETIC) >= 400
    assert len({edit.kind for edit in SEMANTIC}) > 30 and len({edit.kind for edit in COSMETIC}) > 15
    for edit in (*SEMANTIC, *COSMETIC):
        if edit.place != "aside.py broken":
            ast.parse(edit.text.removeprefix("\ufeff"))


def test_every_semantic_edit_is_noticed_by_the_tasks_that_reach_it_and_by_no_other(bench: Bench) -> None:
    by_hand = [edit for edit in SEMANTIC if ": '" in edit.place or ': "' in edit.place]
    by_rule = [edit for edit in SEMANTIC if edit not in by_hand]
    score_semantic(bench, by_hand[::2] + by_rule[::12])  # all of them in the long test


def test_no_cosmetic_edit_is_noticed(bench: Bench) -> None:
    score_cosmetic(bench, COSMETIC[::16], run_each=8)


@pytest.mark.long
def test_the_whole_corpus(bench: Bench) -> None:
    score_semantic(bench, SEMANTIC)
    score_cosmetic(bench, COSMETIC, run_each=4)
