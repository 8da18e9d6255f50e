"""What users get wrong: each is told in one paragraph, ends with 2 (or 1 where a task failed), and loses nothing."""

from __future__ import annotations

import pytest
from cli_kit import Cli

HEAD = "import labtech_cli as labtech\n"
RUNS = "    def run(self): return 1\n"
TASK = f"{HEAD}@labtech.task\nclass A:\n    n: int\n{RUNS}"

GOOD = f"""\
{HEAD}
from enum import Enum
class K(Enum):
    A = 1
@labtech.task
class T:
    n: int
    k: K = K.A
    share: float = 1.0
{RUNS}
@labtech.task
class Any:
    x: object
{RUNS}
class Plain:
    pass
one = T(1)
number = 5
empty = []
mixed = [one, 3]
def bad(): return Any(object())
def nothing(): return None
def raises(): raise KeyError("zz")
def exits(): raise SystemExit(3)
def names(count: int, flag: bool = False): return [T(n) for n in range(count)]
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = Cli(tmp_path_factory.mktemp("good"))
    cli.write("good.py", GOOD)
    return cli


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("def f(:\n    pass\n", ["bad.py:1: syntax error"]),
        ("\tx = 1\n y = 2\n", ["bad.py:", "syntax error"]),
        ('raise ValueError("boom")\n', ["'bad.py' failed on import with ValueError: boom (bad.py:1)"]),
        ("import no_such_package\n", ["imports 'no_such_package', which is not installed (bad.py:1)"]),
        ("from os import nope\n", ["failed on import with ImportError", "bad.py:1"]),
        ('import sys\nprint("hello")\nsys.exit(3)\n', ["called sys.exit(3) on import (bad.py:3)", "__main__"]),
        (f"{HEAD}@labtech.task\nclass A:\n    cache_key: int\n{RUNS}", ["'cache_key' is reserved", "bad.py:2"]),
        (f"{HEAD}@labtech.task\nclass A:\n    n: int\n", ["task type 'A' has no run() method", "define run(self)"]),
        (f"{TASK}labtech.Lab(storage=None).run_tasks([A(1)])\n", ["cannot run a Lab while", "bad.py:6", "__main__"]),
        (f"{TASK}A('x', 2, 3)\n", ["bad.py:6"]),
        (f"{TASK}A(n={{1, 2}})\n", ["A: parameter 'n' cannot hold a value of type 'set'", "bad.py:6"]),
        ("import os\nx = \xe9\n", ["NameError", "bad.py:2"]),
    ],
)
def test_a_module_that_is_wrong(cli: Cli, module: str, said: list[str]) -> None:
    cli.write("bad.py", module)
    cli.write("kept.json", "kept")
    commands = ["plan bad.py:A -p n=1 -o kept.json"]
    if said[0].startswith("cannot run a Lab"):
        commands += ["run bad.py:A -p n=1", "tasks bad.py", "cache ls -m bad.py", "cache rm A --stale -m bad.py --yes"]
    for command in commands:
        told = cli(*command.split())
        for text in said:
            assert text in told.error(), (command, told.err)
        assert "labtech_cli/" not in told.err
    assert cli.read("kept.json") == "kept"
    assert not (cli.folder / "labtech_storage").exists()


def test_a_run_of_a_module_that_is_wrong_ends_like_a_plan_and_leaves_no_process(cli: Cli) -> None:
    cli.write("bad.py", 'import sys\nprint("hello")\nsys.exit(0)\n')
    told = cli("run", "bad.py:A")
    assert "called sys.exit(0) on import" in told.error()
    assert "hello" in told.err
    assert not (cli.folder / "labtech_storage").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nope.py:x", ["there is no file 'nope.py'", "good.py"]),
        ("god.py:x", ["did you mean 'good.py'?"]),
        ("no/good.py:x", ["the folder no does not exist"]),
        ("gud:one", ["there is no module 'gud'"]),
        ("good.py:onee", ["'good.py' has no 'onee'; did you mean 'one'?"]),
        ("good.py:one.m", ["'good.py:one' has no 'm'"]),
        ("good.py", ["names no task; the module offers", "good.py:one"]),
        ("good.py:one:two", ["is not a target; write FILE.py:NAME"]),
        ("./x", ["there is no file './x'"]),
        ("good.py:number", ["a value of type int, not a task"]),
        ("good.py:mixed", ["[1]", "type int, not a task"]),
        ("good.py:empty", ["gives no tasks"]),
        ("good.py:Plain", ["a class, but not a task type; decorate it with @task"]),
        ("good.py:nothing", ["returned None, not tasks"]),
        ("good.py:raises", ["failed when it was called with KeyError: 'zz' (good.py:"]),
        ("good.py:exits", ["called sys.exit(3) when it was called"]),
        ("good.py:bad", ["parameter 'x' cannot hold a value of type 'object'", "good.py:"]),
        ("good.py:T", ["needs a value for 'n' (int); add -p n=VALUE"]),
        ("good.py:T -p nn=1", ["has no parameter 'nn'; did you mean 'n'?"]),
        ("good.py:T -p shre=1 -p n=1", ["did you mean 'share'?"]),
        ("good.py:T -p n=x", ["parameter 'n': expected int, not 'x'"]),
        ("good.py:T -p n=1.5", ["parameter 'n': expected int, not '1.5'"]),
        ("good.py:T -p n=1 -p share=half", ["parameter 'share': expected float"]),
        ("good.py:T -p n=1 -p k=B", ["expected a member of K, not 'B'"]),
        ("good.py:T -p n", ["-p takes name=VALUE, not 'n'"]),
        ("good.py:T -p n=1 -p n=2", ["given twice by -p"]),
        ("good.py:T -p n=1 --grid n=1,2", ["by -p and by --grid"]),
        ("good.py:T --grid n=a,b", ["expected int, not 'a'"]),
        ("good.py:names -p count=2 -p flag=maybe", ["parameter 'flag': expected bool"]),
        ("good.py:one -p n=1", ["there is nothing to set in 'good.py:one'"]),
    ],
)
def test_a_target_that_is_wrong(good: Cli, line: str, said: list[str]) -> None:
    told = good("plan", *line.split()).error()
    for text in said:
        assert text in told, told
    assert not (good.folder / "labtech_storage").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[lab]\nworkerz = 1\n", "labtech.toml:2: [lab] has no key 'workerz'; did you mean 'workers'?"),
        (
            '[lab]\n\nworkers = "a"\n',
            "labtech.toml:3: lab.workers must be a whole number, at least 1, not the text 'a'",
        ),
        ("[lab]\nworkers = 0\n", "labtech.toml:2: lab.workers must be a whole number, at least 1, not 0"),
        ("[labb]\n", "labtech.toml:1: there is no table [labb]; did you mean 'lab'?"),
        ("a =\n", "labtech.toml:1: not valid TOML"),
        ("[targets]\nx = 3\n", "labtech.toml:2: targets.x must be"),
        ('[lab]\nrunner = "proces"\n', "did you mean 'process'?"),
        ('[lab]\nkeep_going = "yes"\n', "labtech.toml:2: lab.keep_going"),
        ("[profiles.fast.lab]\nworkerz = 1\n", "labtech.toml:2"),
    ],
)
def test_a_configuration_that_is_wrong(cli: Cli, text: str, said: str) -> None:
    cli.write("good.py", GOOD)
    cli.write("labtech.toml", text)
    profile = ["--profile", "fast"] if "profiles" in text else []
    assert said in cli("run", "good.py:one", *profile).error()
    assert not (cli.folder / "labtech_storage").exists()


def test_the_environment_is_checked_too(good: Cli) -> None:
    told = good("plan", "good.py:one", env={"LABTECH_WORKERS": "many"}).error()
    assert "LABTECH_WORKERS" in told and "whole number" in told


def test_a_storage_that_cannot_be(cli: Cli) -> None:
    cli.write("good.py", GOOD)
    cli.write("file", "mine")
    assert "is a file, not a folder" in cli("run", "good.py:one", "--storage", "file").error()
    assert "is a file, not a folder" in cli("cache", "ls", "--storage", "file").error()
    assert "not a directory" in cli("run", "good.py:one", "--storage", "file/below").error()
    assert "/proc/no_such_place" in cli("run", "good.py:one", "--storage", "/proc/no_such_place").error()
    assert "s3fs" in cli("run", "good.py:one", "--storage", "s3://bucket/x").error()
    cli.write("other/labtech.db", "this is no database, it is something else entirely\n" * 30)
    for command in ("run good.py:one", "plan good.py:one", "cache ls", "cache rm --all -y"):
        assert "other" in cli(*command.split(), "--storage", "other").error()
    assert cli.read("file") == "mine"
    assert cli.read("other/labtech.db").startswith("this is no database")


FAILING = f"""\
{HEAD}
import os, signal, sys
@labtech.task
class Unsavable:
    n: int
    def run(self):
        open("ran.txt", "a").write("x")
        return lambda: 1
@labtech.task
class After:
    first: Unsavable
{RUNS}
@labtech.task
class Dies:
    how: str
    def run(self):
        if self.how == "kill": os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exit": os._exit(7)
        if self.how == "sysexit": sys.exit("bye")
        if self.how == "interrupt": raise KeyboardInterrupt
        if self.how == "recursion": return self.run()
        if self.how == "result": return self.nothing
        if self.how == "context": return self.context["DATA"]
        return 1
@labtech.task
class Fine:
    n: int
    def run(self): return self.n
after = [After(Unsavable(1)), Fine(5)]
deaths = [Dies(how) for how in ("kill", "exit", "sysexit", "interrupt", "recursion", "result", "context")]
deaths += [Fine(n) for n in range(20)]
"""


def test_a_result_that_cannot_be_saved_fails_its_task_each_time_and_leaves_the_cache_clean(cli: Cli) -> None:
    cli.write("failing.py", FAILING)
    for times in (1, 2):
        done = cli("run", "failing.py:after", "-k", "--json").check(1)
        assert done.counts() == {"failed": 1, "skipped": 1, "succeeded" if times == 1 else "loaded": 1}
        (failed,) = [event for event in done.events() if event.get("outcome") == "failed"]
        assert failed["error"]["kind"] == "CacheError"
        assert "result of type 'function' cannot be saved by PickleCache()" in failed["error"]["message"]
        (skipped,) = [event for event in done.events() if event.get("outcome") == "skipped"]
        assert skipped["because"] == failed["key"]
        assert len(cli.read("ran.txt")) == times
        (row,) = cli("cache", "ls", "--json").check().document()["results"]
        assert row["type"] == "Fine"


def test_the_ways_in_which_a_task_dies_harm_no_other(cli: Cli) -> None:
    cli.write("failing.py", FAILING)
    done = cli("run", "failing.py:deaths", "-k", "-j", "2", "--json").check(1)
    assert done.counts() == {"failed": 7, "succeeded": 20}
    errors = {e["params"]["how"]: e["error"] for e in done.events() if e.get("outcome") == "failed"}
    assert "killed by SIGKILL" in errors["kill"]["message"]
    assert "exit code 7" in errors["exit"]["message"]
    assert errors["sysexit"]["kind"] == "SystemExit" and "bye" in errors["sysexit"]["message"]
    assert errors["interrupt"]["kind"] == "KeyboardInterrupt"
    assert errors["recursion"]["kind"] == "RecursionError"
    assert errors["result"]["kind"] == "AttributeError"
    assert "DATA" in errors["context"]["message"]
    assert len(cli("cache", "ls", "--json").check().document()["results"]) == 20
    again = cli("run", "failing.py:deaths", "-k", "-j", "2", "--json").check(1)
    assert again.counts() == {"failed": 7, "loaded": 20}


def test_a_result_that_cannot_be_loaded_is_named_in_one_sentence(cli: Cli) -> None:
    cli.write(
        "way.py",
        "import labtech_cli as labtech\n\n\ndef raises():\n    raise ValueError('no way back')\n\n\n"
        "class OneWay:\n    def __reduce__(self):\n        return raises, ()\n\n\n"
        "@labtech.task\nclass Goes:\n    def run(self):\n        return OneWay()\n\n\ngoes = Goes()\n",
    )
    done = cli("run", "way.py:goes").check()  # the run is over, and went well
    assert "warning: the result of Goes() cannot be loaded: ValueError: no way back" in done.err
    assert "Traceback" not in done.err


def test_two_runs_at_once_on_one_storage_both_end_well(cli: Cli) -> None:
    cli.write(
        "both.py",
        "import time\n\nimport labtech_cli as labtech\n\n\n"
        "@labtech.task\nclass Part:\n    n: int\n\n    def run(self):\n        time.sleep(0.01)\n"
        "        return bytes(200_000)\n\n\n"
        "@labtech.task\nclass Whole:\n    n: int\n    parts: tuple\n\n    def run(self):\n"
        "        return sum(len(part.result) for part in self.parts)\n\n\n"
        "parts = [Part(n) for n in range(30)]\n"
        "wholes = [Whole(n, tuple(parts[(n + k) % 30] for k in range(5))) for n in range(20)]\n",
    )
    runs = [cli.start("run", "both.py:wholes", "-j", "2", "--show", "none") for _ in range(2)]
    for process in runs:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    results = cli("results", "both.py:wholes", "--json").check().document()["results"]
    assert [row["result"] for row in results] == [1_000_000] * 20
