"""`labtech cache verify`, as a user runs it."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest
from cli_kit import COMMAND, Cli, environment

ODD = """\
import os, signal
import labtech_cli as labtech

print("printed on import")

class Bad:
    def __init__(self, how): self.how = how
    def __reduce__(self): return load, (self.how,)

def load(how):
    if os.path.exists("mended"): return how
    if how == "exits": os._exit(3)
    if how == "dies": os.kill(os.getpid(), signal.SIGKILL)
    if how == "leaves": raise SystemExit(5)
    if how == "raises": raise ValueError("\\x1b[31mno\\nreally")
    if how == "prints": print("printed by a load")
    return how

@labtech.task
class Makes:
    how: str
    def run(self): return Bad(self.how)

@labtech.task
class Large:
    n: int
    def run(self): return bytes([self.n]) * 200_000

hows = [Makes(how) for how in ("fine", "exits", "dies", "leaves", "raises", "prints", "fine too")]
large = [Large(n) for n in range(3)]
"""


def database(cli: Cli) -> Path:
    return cli.folder / "labtech_storage" / "labtech.db"


def edit(cli: Cli, statement: str) -> None:
    with sqlite3.connect(database(cli)) as connection:
        connection.execute(statement)
    connection.close()


def large_files(cli: Cli) -> list[Path]:
    return sorted((cli.folder / "labtech_storage" / "results").rglob("*.pickle"))


@pytest.fixture
def odd(cli: Cli) -> Cli:
    cli.write("odd.py", ODD)
    return cli


@pytest.fixture
def large(odd: Cli) -> Cli:
    odd("run", "odd.py:large", "--runner", "serial", "--show", "none").check()
    return odd


def test_whole_results_are_whole(ran: Cli) -> None:
    (ran.folder / "experiments.py").unlink()
    done = ran("cache", "verify").check()
    assert done.out == "" and done.err.startswith("checked 8 results, ") and "all are whole" in done.err
    document = ran("cache", "verify", "--json").check().document()
    assert (document["checked"], document["damaged"], document["problems"]) == (8, 0, [])
    assert ran("cache", "verify", "Add", "--where", "kind=LARGE", "--json").check().document()["checked"] == 3


def test_damaged_results_are_told_and_with_repair_moved_aside(large: Cli) -> None:
    flipped, short, _ = large_files(large)
    flipped.write_bytes(flipped.read_bytes().replace(b"\0", b"\1", 1))
    short.write_bytes(short.read_bytes()[:-1])
    done = large("cache", "verify").check(1)
    assert "2 damaged" in done.err and "--repair" in done.err and done.out.count("Large") == 2
    for form in ("csv", "md", "jsonl"):
        assert large("cache", "verify", "--format", form).check(1).out.count("checksum") >= 2
    document = large("cache", "verify", "--repair", "--json").check(0).document()
    assert (document["checked"], document["damaged"], document["set_aside"]) == (3, 2, 2)
    assert all(item["set_aside"] and item["problem"] == "checksum" for item in document["problems"])
    assert len(os.listdir(large.folder / "labtech_storage" / "damaged")) == 2
    assert large("cache", "verify", "--json").check(0).document()["checked"] == 1
    assert large("run", "odd.py:large", "--json").check().counts() == {"loaded": 1, "succeeded": 2}


def test_foreign_and_mangled_descriptions_are_damage(ran: Cli) -> None:
    insert = "INSERT INTO task (key, type, params, duration, format, started_at, size, parts) VALUES "
    edit(ran, insert + "('zz/../../../../etc', 'x', 'not json', 1, 'pickle', 1, 1, 'a')")
    edit(ran, insert + f"('{'e' * 32}', 'm.\x1b[31mT', '{{}}', 1, 'p', 1, 1, 'x\t1\tq\t/etc')")
    edit(ran, "UPDATE task SET params = '{}' WHERE type LIKE '%Total'")
    done = ran("cache", "verify").check(1)
    assert "3 damaged" in done.err and "\x1b" not in done.out
    document = ran("cache", "verify", "--repair", "--json").check(0).document()
    assert [item["problem"] for item in document["problems"]] == ["description"] * 3
    assert len(list((ran.folder / "labtech_storage" / "damaged").iterdir())) == 3
    assert "all are whole" in ran("cache", "verify").check().err


def test_load_tries_each_result_whatever_that_does(odd: Cli) -> None:
    odd("run", "odd.py:hows", "-k", "--runner", "serial", "--show", "none")
    odd("run", "odd.py:large", "--show", "none").check()
    assert "--load needs the modules" in odd("cache", "verify", "--load").error()
    done = odd("cache", "verify", "--load", "-m", "odd.py", "--json").check(1)
    document = done.document()
    assert (document["checked"], document["damaged"], document["unloadable"]) == (10, 0, 4)
    assert document["loaded"] == 6 and document["not_loaded"] == 0
    told = {item["message"] for item in document["problems"]}
    assert {item["problem"] for item in document["problems"]} == {"load"}
    ends = "loading it ended the process"
    assert {f"{ends} (exit status 3)", f"{ends} (SIGKILL)"} <= told
    assert any("SystemExit: 5" in text for text in told) and any("ValueError: no" in text for text in told)
    assert "printed by a load" in done.err and "\x1b" not in done.out + done.err
    assert "4 cannot be loaded" in odd("cache", "verify", "--load", "--repair", "-m", "odd.py").check(1).err
    odd.write("mended", "")
    assert odd("cache", "verify", "--load", "-m", "odd.py").check(0).err.count("whole") == 1


def test_load_leaves_alone_what_the_modules_do_not_define(ran: Cli) -> None:
    ran.write("experiments.py", ran.read("experiments.py").replace("class Add:", "class Plus:").replace("Add", "Plus"))
    done = ran("cache", "verify", "--load", "-m", "experiments.py", "--json").check()
    assert done.document()["not_loaded"] == 8 and "not loaded: 8 results" in done.err


def test_an_empty_storage_is_whole(cli: Cli) -> None:
    assert cli("cache", "verify", "--json").check().document()["checked"] == 0
    assert list(cli.folder.iterdir()) == []


def test_memory_does_not_grow_with_what_is_read(odd: Cli) -> None:
    odd.write("big.py", "import labtech_cli as labtech\n@labtech.task\nclass Big:\n    n: int\n"
              "    def run(self): return bytes(60_000)\nbig = [Big(n) for n in range(4000)]\n")  # fmt: skip
    odd("run", "big.py:big", "--runner", "serial", "--show", "none", "--progress", "none").check()
    code = (
        "import sys; from labtech_cli.cli.main import run; code = run(sys.argv[1:]);"
        "peak = [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')];"
        "print(*peak, file=sys.stderr); sys.exit(code)"
    )  # not ru_maxrss: a program starts with the one of the process that started it
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", code, "cache", "verify"],
        cwd=odd.folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert "checked 4,000 results, 240 MB" in done.stderr
    assert int(done.stderr.splitlines()[-1]) < 200_000  # kB


def test_a_terminal_shows_how_far_it_is(large: Cli) -> None:
    slow = "import labtech_cli.store.checking as c, time; v = c.verify\ndef s(x): time.sleep(0.4); v(x)\nc.verify = s\n"
    slow += "import sys; from labtech_cli.cli.main import run; sys.exit(run(sys.argv[1:]))"
    child = pexpect.spawn(
        COMMAND[0], ["-c", slow, "cache", "verify"], cwd=str(large.folder), env={**environment(), "TERM": "xterm"}
    )
    try:
        child.expect_exact("verifying", timeout=30)
        child.expect_exact("checked 3 results", timeout=30)
        child.expect(pexpect.EOF, timeout=30)
        child.close()
    finally:
        child.close(force=True)
    assert child.exitstatus == 0


def test_where_results_are_to_be_signed_those_that_are_not_are_told_and_not_loaded(ran: Cli) -> None:
    env = {"LABTECH_SIGNING_KEY": "0123456789abcdef" * 2}
    done = ran("cache", "verify", "--load", "-m", "experiments.py", "--repair", "--json", env=env).check(1)
    document = done.document()
    assert (document["damaged"], document["unloadable"], document["loaded"]) == (0, 8, 0)
    assert {item["problem"] for item in document["problems"]} == {"signature"}
    assert ran("cache", "verify").check(0)


LISTS = {
    "a file renamed": lambda parts: [{**part, "name": part["name"].replace("result", "resulu")} for part in parts],
    "no file": lambda parts: [],
    "a file more": lambda parts: [*parts, {**parts[0], "name": "more"}],
}
OWN_FORMAT = """\
import labtech_cli as labtech

class Words(labtech.BaseCache):
    KEY_PREFIX = "words__"
    def save_result(self, storage, task, result):
        with storage.file_handle(task.cache_key, "words.txt", mode="w") as file:
            file.write(result)
    def load_result(self, storage, task):
        with storage.file_handle(task.cache_key, "words.txt", mode="r") as file:
            return file.read()

@labtech.task(cache=Words())
class Says:
    n: int
    def run(self): return "word " * self.n

says = [Says(n) for n in (1, 2)]
"""


def change_manifests(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    for file in (folder / "results").rglob("*.json"):
        manifest = json.loads(file.read_text())
        change(manifest)
        file.write_text(json.dumps(manifest))


def is_mended(cli: Cli, storage: str, *target: str) -> None:
    """One result is found, set aside, and computed again."""
    (problem,) = cli("cache", "verify", "--storage", storage, "--json").check(1).document()["problems"]
    assert problem["problem"] == "checksum" and "the list of its files" in problem["message"]
    assert "moved aside: 1 result" in cli("cache", "verify", "--storage", storage, "--repair").check().err
    assert cli("run", *target, "--storage", storage, "--json").check().counts() == {"succeeded": 1}
    assert cli("cache", "verify", "--storage", storage).check()


@pytest.mark.parametrize(
    "change", ["format = 'qickle'", "parts = replace(parts, 'result.pickle', 'resulu.pickle')", "parts = ''"]
)
@pytest.mark.parametrize("sealed", [True, False])
def test_a_list_of_files_that_was_changed_is_damage(odd: Cli, change: str, sealed: bool) -> None:
    odd("run", "odd.py:Large", "-p", "n=1", "--show", "none").check()
    if not sealed:  # as an older labtech wrote it
        edit(odd, "UPDATE task SET parts = substr(parts, 1, instr(parts, char(10)) - 1)")
    edit(odd, f"UPDATE task SET {change}")
    if sealed or "format" not in change:
        is_mended(odd, "labtech_storage", "odd.py:Large", "-p", "n=1")
    else:  # it may be a format of somebody's own
        odd("cache", "verify").check()


@pytest.mark.parametrize("change", [*LISTS, "another format"])
def test_a_list_of_files_that_was_changed_in_a_shared_folder_is_damage(odd: Cli, change: str) -> None:
    shared = f"file://{odd.folder}/shared"
    odd("run", "odd.py:Large", "-p", "n=1", "--show", "none", "--storage", shared).check()
    parts = LISTS.get(change, lambda parts: parts)
    named = {} if change in LISTS else {"format": "qickle"}
    change_manifests(odd.folder / "shared", lambda found: found.update(named, parts=parts(found["parts"])))
    is_mended(odd, shared, "odd.py:Large", "-p", "n=1")


@pytest.mark.parametrize("change", LISTS)
def test_a_run_computes_a_result_again_whose_list_of_files_was_changed(odd: Cli, change: str) -> None:
    shared = f"file://{odd.folder}/shared"
    odd("run", "odd.py:Large", "-p", "n=1", "--show", "none", "--storage", shared).check()
    change_manifests(odd.folder / "shared", lambda found: found.update(parts=LISTS[change](found["parts"])))
    done = odd("run", "odd.py:Large", "-p", "n=1", "--json", "--storage", shared).check()
    assert done.counts() == {"succeeded": 1}


@pytest.mark.parametrize("storage", ["labtech_storage", "file://{folder}/shared"])
def test_results_in_a_format_of_the_users_own_are_whole(cli: Cli, storage: str) -> None:
    cli.write("own.py", OWN_FORMAT)
    where = storage.format(folder=cli.folder)
    cli("run", "own.py:says", "--show", "none", "--storage", where).check()
    assert "2 results" in cli("cache", "verify", "--storage", where).check().err
    if where == "labtech_storage":
        edit(cli, "UPDATE task SET parts = substr(parts, 1, instr(parts, char(10)) - 1)")
        cli("cache", "verify").check()
        assert cli("run", "own.py:says", "--json").check().counts() == {"loaded": 2}


def test_a_damaged_index_is_told_and_with_repair_made_anew(ran: Cli) -> None:
    with sqlite3.connect(database(ran)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE '%autoindex_task%'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (key,) = connection.execute("SELECT key FROM task WHERE type LIKE '%Total'").fetchone()
    connection.close()
    data = bytearray(database(ran).read_bytes())
    data[data.index(key.encode(), (page - 1) * size)] ^= 16
    database(ran).write_bytes(data)
    done = ran("cache", "verify").check(1)
    assert "missing from index" in done.out and "'labtech cache verify --repair' makes it anew" in done.err
    document = ran("cache", "verify", "--json").check(1).document()
    assert [item["problem"] for item in document["problems"]] == ["index"] and document["damaged"] == 0
    assert "was damaged: made anew" in ran("cache", "verify", "--repair").check().err
    assert "all are whole" in ran("cache", "verify").check().err
    assert ran("run", "experiments.py:total", "--json").check().counts() == {"loaded": 1}
