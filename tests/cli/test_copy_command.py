"""`labtech cache copy`, as a user runs it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from cli_kit import Cli, finish, wait_until

LARGE = """\
import labtech_cli as labtech

@labtech.task
class Large:
    n: int
    def run(self): return bytes([self.n]) * 3_000_000

large = [Large(n) for n in range(100)]
"""


def keys(cli: Cli, storage: str) -> set[str]:
    return {row["key"] for row in cli("cache", "ls", "--storage", storage, "--json").check().document()["results"]}


def test_copy_to_another_storage_and_run_from_there(ran: Cli) -> None:
    document = ran("cache", "copy", "--to", "other", "--json").check().document()
    assert (document["copied"], document["already_there"], document["damaged"]) == (8, 0, 0)
    assert document["to"] == str(ran.folder / "other")
    again = ran("cache", "copy", "--to", "other", "--json").check()
    assert again.document()["already_there"] == 8 and "8 were there already" in again.err
    shutil.rmtree(ran.folder / "labtech_storage")
    done = ran("run", "experiments.py:total", "experiments.py:many", "--storage", "other", "--json").check()
    assert done.counts() == {"loaded": 4}


def test_the_copy_lists_like_the_original(ran: Cli) -> None:
    ran("cache", "copy", "--to", "other").check()
    for arguments in (["cache", "ls", "--json"], ["cache", "ls", "--where", "parts.2.n=2"]):
        assert ran(*arguments, "--storage", "other").check().out == ran(*arguments).check().out
    (key,) = (row["key"] for row in ran("cache", "ls", "Total", "--json").check().document()["results"])
    one = ran("cache", "show", key, "--json").check().document()
    assert ran("cache", "show", key, "--json", "--storage", "other").check().document() == one
    assert one["origin"]["labtech"] and one["provenance"]["peak_memory_bytes"] is not None


def test_names_and_filters_choose_and_nested_parameters_are_known_there(ran: Cli) -> None:
    done = ran("cache", "copy", "Total", "--where", "scale=1", "--to", "some", "--json").check().document()
    assert (done["copied"], done["described"]) == (1, 4)
    (row,) = ran("cache", "ls", "--storage", "some", "--json").check().document()["results"]
    assert row["params"]["parts"][1]["params"] == {"n": 1, "kind": "SMALL"}
    assert "did you mean 'Total'?" in ran("cache", "copy", "Totl", "--to", "some").error()
    shown = ran("cache", "copy", "--to", "none-yet", "-n").check()
    assert "would copy 8 results" in shown.err and not (ran.folder / "none-yet").exists()


def test_the_shards_of_a_matrix_are_joined(lab: Cli) -> None:
    for k in (1, 2, 3):
        arguments = ["--shard", f"{k}/3", "--storage", f"shard{k}", "--show", "none"]
        lab("run", "experiments.py:adds", "experiments.py:total", *arguments).check()
        lab("cache", "copy", "--from", f"shard{k}", "--to", "all").check()
    plan = lab("plan", "experiments.py:adds", "experiments.py:total", "--storage", "all", "--check")
    assert plan.code == 0, plan.err
    assert "all are whole" in lab("cache", "verify", "--storage", "all").check().err


def test_what_cannot_be_meant_is_refused(ran: Cli) -> None:
    assert "nothing says where to copy to" in ran("cache", "copy").error()
    assert "is to be copied to itself" in ran("cache", "copy", "--to", "./labtech_storage/").error()
    (ran.folder / "link").symlink_to("labtech_storage")
    assert "is to be copied to itself" in ran("cache", "copy", "--to", "link").error()
    assert "keeps nothing" in ran("cache", "copy", "--to", "none").error()
    assert (
        "--from and --storage contradict" in ran("cache", "copy", "--from", "a", "--storage", "b", "--to", "c").error()
    )
    ran.write("file", "")
    assert "is a file, not a folder" in ran("cache", "copy", "--to", "file").error()


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_storage_that_is_not_there_is_an_error_and_not_made(ran: Cli, scheme: str) -> None:
    place = ran.folder / "nowhere"
    said = ran("cache", "copy", "--from", f"{scheme}{place}", "--to", "x").error()
    assert f"there is no storage at '{scheme}{place}'" in said and "--from" in said
    assert not place.exists() and not (ran.folder / "x").exists()


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_shard_that_had_nothing_to_do_can_be_copied_from(lab: Cli, scheme: str) -> None:
    places = [f"{scheme}{lab.folder}/s{number}" for number in (1, 2)]
    for number, place in enumerate(places, 1):
        lab("run", "experiments.py:total", "--shard", f"{number}/2", "--storage", place, "--show", "none").check()
    copied = [lab("cache", "copy", "--from", place, "--to", "all", "--json").check().document() for place in places]
    assert sorted(done["copied"] for done in copied) == [0, 5]


def test_damaged_results_are_told_and_conflicts_counted(lab: Cli) -> None:
    lab.write("m.py", LARGE.replace("range(100)", "range(3)"))
    lab("run", "m.py:large", "--show", "none").check()
    lab.write("m.py", lab.read("m.py").replace("[self.n]", "[9]"))
    lab("run", "m.py:large", "--show", "none", "--storage", "other").check()
    first, *_ = sorted((lab.folder / "labtech_storage" / "results").rglob("*.pickle"))
    first.write_bytes(bytes(first.stat().st_size))
    done = lab("cache", "copy", "--to", "other", "--json").check(0)
    assert done.document()["conflicts"] == 3 and "3 tasks have other results there" in done.err
    done = lab("cache", "copy", "--to", "other", "--overwrite", "--json").check(1)
    assert (done.document()["overwritten"], done.document()["damaged"]) == (2, 1)
    assert "damaged, and not copied: 1 result" in done.err
    assert "all are whole" in lab("cache", "verify", "--storage", "other").check().err


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = Cli(tmp_path_factory.mktemp("large"))
    cli.write("m.py", LARGE)
    cli("run", "m.py:large", "--runner", "serial", "--show", "none", "--progress", "none").check()
    return cli


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("after", [0.0, 0.15])
def test_an_interrupted_copy_goes_on(
    large: Cli, tmp_path: Path, number: signal.Signals, code: int, after: float
) -> None:
    target = str(tmp_path / "target")
    process = large.start("cache", "copy", "--to", target)
    spool = tmp_path / "target" / "spool"
    wait_until(lambda: spool.exists() and any(spool.glob("*/*/*")), "it copies")
    time.sleep(after)
    os.kill(process.pid, number)
    assert finish(process).check(code).err.strip() in ("", "interrupted")
    assert "all are whole" in large("cache", "verify", "--storage", target).check().err
    before = keys(large, target)
    assert len(before) < 100
    document = large("cache", "copy", "--to", target, "--json").check().document()
    assert (document["copied"], document["already_there"]) == (100 - len(before), len(before))
    assert keys(large, target) == keys(large, "labtech_storage") and len(keys(large, target)) == 100
    assert not list(spool.iterdir()) and "all are whole" in large("cache", "verify", "--storage", target).check().err
    files = [path for path in (tmp_path / "target" / "results").rglob("*") if path.is_file()]
    assert len(files) == 100


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("target", ["other", "file://{folder}/other"])
def test_what_nobody_who_is_trusted_has_signed_is_left_out(ran: Cli, target: str, dry_run: bool) -> None:
    where, env = target.format(folder=ran.folder), {"LABTECH_SIGNING_KEY": "0123456789abcdef" * 2}
    ran("run", "experiments.py:Add", "-p", "n=77", "--show", "none", env=env).check()
    options = ["--dry-run"] if dry_run else []
    done = ran("cache", "copy", "--to", where, "--json", *options, env=env).check(1)
    document = done.document()
    assert (document["copied"], document["untrusted"], document["damaged"]) == (1, 8, 0)
    assert {item["problem"] for item in document["problems"]} == {"signature"}
    assert "not trusted, and not copied: 8 results" in done.err and "is not signed" in done.err
    assert "damaged" not in done.err
    if not dry_run:
        assert len(keys(ran, where)) == 1
        ran("cache", "verify", "--storage", where, env=env).check()
        ran("cache", "copy", "--to", where).check()  # without a key everything is copied
        assert len(keys(ran, where)) == 9
