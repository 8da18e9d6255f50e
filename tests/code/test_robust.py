# ruff: noqa: E501
"""Odd projects: none makes a fingerprint fail, and each module is read once."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time

from conftest import Write
from test_reach import names, run

import labtech_cli.code.fingerprint as code


def test_each_module_is_parsed_once_and_a_second_call_reads_nothing(fp: Write) -> None:
    fp.write(
        run(
            "return f(), g()",
            "from a import f\nfrom b import g\nfrom labtech_cli import task as t\n@t\nclass U:\n    def run(self): return f()\n",
        ),
        a="import b\ndef f(): return b.g()\n",
        b="import a\ndef g(): return 1\n",
        c="x = 1\n",
    )
    module = importlib.import_module("exp")
    one = code.fingerprint(module.T)
    modules = code._shared.project.modules
    assert modules.parses == 3
    assert code.fingerprint(module.T) is one
    code.fingerprint(module.U)
    assert modules.parses == 3 and code._shared.project.modules is modules


def test_a_file_that_changes_is_read_anew_for_types_not_seen_yet(fp: Write) -> None:
    one = fp(run("return f()", "from lib import f\n"), lib="def f(): return 1\n")
    (fp.folder / "lib.py").write_text("def f(): return 20\n")
    assert code.fingerprint_of("exp", "T").digest != one.digest


def test_it_is_light_to_import() -> None:
    lines = "import sys; before = set(sys.modules); import labtech_cli.core.task; mid = set(sys.modules); import labtech_cli.code.fingerprint; print(*set(sys.modules) - mid)"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=60)
    assert not {"importlib.metadata", "email", "asyncio", "tempfile", "subprocess"} & set(done.stdout.split())


def test_cycles_of_imports_and_calls_end(fp: Write) -> None:
    found = fp(
        run("return f()", "from a import f\n"),
        a="from b import g\nfrom b import *\ndef f(): return g()\n",
        b="from a import f\nfrom a import *\ndef g(): return f()\nclass A(B): pass\nclass B(A): pass\n",
    )
    assert names(found) == {"a:f", "b:g"}
    assert fp(run("return x", "from a import x\n"), a="from b import x\n", b="from a import x\n").symbols
    assert fp(run("return C()", "class C(C): pass\n")).symbols


def test_a_module_that_cannot_be_read_is_unsure(fp: Write) -> None:
    for text in ("def f(:\n", "x = '\\0", "\0", "x = " + "(" * 300, "# coding: nonsense\nx = 1\n"):
        found = fp(run("return lib.f()", "import lib\n"), lib=text)
        assert found.unsure, text


def test_deep_expressions_are_compared_by_their_words(fp: Write) -> None:
    deep = "return " + " + ".join(["f(1)"] * 1200)
    one = fp(run(deep, "def f(x): return x\n"))
    assert "exp:f" in one.symbols
    assert one.digest == fp(run(deep + "  ", "# note\ndef f(x): return x\n")).digest
    assert one.digest != fp(run(deep + " + 1", "def f(x): return x\n")).digest


def test_a_module_of_a_thousand_functions_takes_a_moment(fp: Write) -> None:
    lib = "".join(
        f"def f{n}(x):\n    y = x + {n}\n    return f{n + 1}(y) if y else [z for z in range({n})]\n"
        for n in range(1000)
    )
    fp.write(run("return f0(1)", "from lib import f0\n"), lib=lib + "def f1000(x): return x\n")
    start = time.process_time()
    found = code.fingerprint_of("exp", "T")
    assert len(found.symbols) == 1003
    assert time.process_time() - start < 5


def test_names_may_be_of_any_alphabet(fp: Write) -> None:
    found = fp(run("return größe(λ)", "def größe(x): return 'ü\\ud800' + x\nλ = '漢字'\n"))
    assert names(found) == {"exp:größe", "exp:λ"}
    assert code.from_json(code.to_json(found)) == found


def test_a_script_and_its_import_have_the_same_fingerprint(fp: Write) -> None:
    text = run("return f(self)", "import labtech_cli.code.fingerprint as code\ndef f(x): return x\n")
    fp.write(text + "\nif __name__ == '__main__':\n    print(code.fingerprint(T).digest, code.fingerprint(T).type)\n")
    done = subprocess.run(
        [sys.executable, "exp.py"],
        cwd=fp.folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.split() == [code.fingerprint_of("exp", "T").digest, "exp.T"], done.stderr


NOTEBOOK = """
import sys, types, linecache
import labtech_cli.code.fingerprint as code
main = sys.modules["__main__"]
In = ["", "from labtech_cli import task\\nW = 1\\ndef f(): return 1\\n", "def f(): return W\\nprint(f())\\nf()", "@task\\nclass T:\\n    def run(self): return f()", "f("]
for cell in In[:-1]:
    exec(compile(cell, "<cell>", "exec"), main.__dict__)
found = code.fingerprint(T)
print(*found.symbols, found.symbols["__main__:f"].source, len(found.unsure), sep="|")
"""


def test_cells_of_a_notebook_count_as_they_ran_last() -> None:
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "__main__:T|__main__:T.run|__main__:W|__main__:f|def f(): return W|0", (
        done.stderr
    )


def test_an_interactive_session_without_source_is_unsure() -> None:
    lines = "import labtech_cli.code.fingerprint as code\nfrom labtech_cli import task\n@task\nclass T:\n  def run(self): return 1\nprint(code.fingerprint(T).unsure)"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, timeout=60)
    assert "not available" in done.stdout, done.stderr


def test_a_file_edited_after_its_import_is_unsure_until_it_is_loaded_again(fp: Write) -> None:
    lib = "X = 1\ndef f():\n    'says'\n    return [X for _ in 'ab']\nclass C:\n    @property\n    def p(self): return 2\n"
    fp.write(run("return f()", "from lib import f\n"), lib=lib)
    importlib.import_module("exp")
    assert code.fingerprint_of("exp", "T").unsure == ()
    for edited, outdated in (
        (lib.replace("X for", "X + 1 for"), True),
        (lib.replace("= 1", "= 3"), True),
        ("# note\n\n" + lib, False),
    ):
        (fp.folder / "lib.py").write_text(edited)
        code.forget()
        assert bool(code.fingerprint_of("exp", "T").unsure) is outdated, edited
    (fp.folder / "lib.py").write_text(lib.replace("= 1", "= 3"))
    importlib.reload(sys.modules["lib"])
    assert code.fingerprint_of("exp", "T").unsure == ()


def test_integers_of_more_digits_than_python_writes_are_compared(fp: Write) -> None:
    digits = "f" * 4_000
    for where in ("N = 0x{}", "if 0x{} > 1:\n    N = 1", "N = [-0x{}]"):
        one, two = (fp(run("return N", where.format(text) + "\n")) for text in (digits, digits[1:] + "e"))
        assert one.digest != two.digest and not one.unsure


def test_a_loaded_module_with_such_an_integer_can_be_compared_with_its_file(fp: Write) -> None:
    fp.write(run("return 0x" + "f" * 4_000))
    module = importlib.import_module("exp")
    assert code.fingerprint(module.T).symbols
