"""The house keeps its shape: imports point down, files stay small, everything public says what it is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import labtech_cli

ROOT = Path(labtech_cli.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
EVERYTHING = [""]

# What each part may import of this package, by prefix; the longest matching part decides.
MAY: dict[str, list[str]] = {
    "errors": [],
    "_version": [],
    "log": [],
    "names": [],
    "alias": ["errors"],
    "plugins": ["errors"],
    "core": ["core", "errors", "names"],
    "store": ["store", "core", "errors", "names"],
    "run": ["run", "store", "core", "errors", "names", "project.modules", "alias", "plugins", "log", "_version"],
    "report": ["report", "core", "errors"],
    "code": ["code", "core", "errors", "names"],
    "project": ["project", "code", "core", "errors", "names", "alias"],
    "recorded": ["code", "core", "store", "errors", "names"],
    "staleness": ["recorded", "code", "core", "store", "errors", "names"],
    "prepared": ["core", "store", "run", "staleness", "errors"],
    "inputs": ["prepared", "core", "store", "errors", "lab"],
    "adoption": ["staleness", "recorded", "core", "store", "errors"],
    "runs": ["report", "run.origin", "store", "core", "errors", "names", "_version"],
    "lab": [
        *("code", "core", "store", "run", "report", "project", "session", "prepared", "outcome", "staleness", "runs"),
        *("errors", "names", "plugins", "alias", "log"),
    ],
    "outcome": ["core", "store", "run", "errors", "lab"],
    "session": [
        *("core", "code", "store", "run", "report", "project", "lab", "outcome", "staleness", "adoption", "runs"),
        *("prepared", "inputs", "errors", "names", "plugins", "alias", "log"),
    ],
    "cache": ["store"],
    "storage": ["store"],
    "diagram": ["report.diagram"],
    "exceptions": ["errors"],
    "types": ["core", "run.runner", "store"],
    "cli": EVERYTHING,
    "__main__": EVERYTHING,
    "": EVERYTHING,
}
IMPURE = [
    "asyncio",
    "concurrent",
    "ctypes",
    "glob",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "queue",
    "random",
    "secrets",
    "select",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "http",
    "uuid",
]


def module_name(file: Path) -> str:
    """`core.key` for `labtech_cli/core/key.py`; the empty name for the package itself."""
    parts = [*file.relative_to(ROOT).parent.parts, file.stem]
    return ".".join(part for part in parts if part != "__init__")


@cache
def tree(file: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(file.read_text("utf-8"))


def imported(nodes: Iterator[ast.AST] | list[ast.AST]) -> Iterator[str]:
    """The dotted names that import statements among `nodes` name, `from` imports with the name they take."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{item.name}" for item in node.names)


def at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The statements that run when a module is imported: none in functions, none for type checkers only."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from at_import(node.orelse)
            continue
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With, ast.ClassDef)):
            for part in ("body", "orelse", "finalbody"):
                yield from at_import(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from at_import(handler.body)


def ours(names: Iterator[str]) -> Iterator[str]:
    """The modules of this package among imported names, without its own name."""
    known = {module_name(file) for file in FILES}
    for name in names:
        parts = name.split(".")
        if parts[0] == "labtech_cli":
            inner = ".".join(parts[1:])
            yield inner if inner in known else ".".join(parts[1:-1])


def under(name: str, prefixes: list[str]) -> str | None:
    """The longest of `prefixes` that `name` is or lies in."""
    found = [item for item in prefixes if not item or name == item or name.startswith(item + ".")]
    return max(found, key=len, default=None)


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_imports_point_down(file: Path) -> None:
    name = module_name(file)
    part = under(name, list(MAY))
    assert part is not None
    assert part or name == "", f"{name} has no place in the house: give it a line in MAY"
    for other in ours(imported(ast.walk(tree(file)))):
        if other == "" and (part in ("", "cli", "__main__") or "_version" in file.read_text("utf-8")):
            continue
        assert under(other, MAY[part]) is not None, f"{name} must not import {other}"
        assert part in ("", "cli", "__main__") or not other.startswith("cli"), (
            f"{name} must not import the command line"
        )


@pytest.mark.parametrize("file", [file for file in FILES if module_name(file).startswith("core")], ids=module_name)
def test_the_core_never_touches_the_world(file: Path) -> None:
    for name in imported(ast.walk(tree(file))):
        top = name.split(".")[0]
        assert top not in IMPURE, f"{file.name} imports {name}"
        assert top in sys.stdlib_module_names or top in ("frozendict", "labtech_cli"), f"{file.name} imports {name}"
    calls = {
        node.func.id for node in ast.walk(tree(file)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print", "input", "exec", "eval"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    edges = {module_name(file): set(ours(imported(at_import(tree(file).body)))) for file in FILES}
    TopologicalSorter(edges).prepare()  # raises CycleError, which shows the cycle


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_files_are_small(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 350


def public(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """The public classes and functions at the top level of a module."""
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            overload = any("overload" in ast.unparse(item) for item in node.decorator_list)
            if not overload:
                yield node.name, node


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_everything_public_says_what_it_is(file: Path) -> None:
    assert ast.get_docstring(tree(file)) or "_version" in file.name, "the module has no docstring"
    missing = [name for name, node in public(tree(file).body) if not ast.get_docstring(node)]  # type: ignore[arg-type]
    assert not missing


def test_few_modules_import_by_a_string() -> None:
    allowed = {"", "alias", "plugins", "project.modules", "run.serve", "run.zygote", "cli.main"}
    for file in FILES:
        calls = [ast.unparse(node.func) for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]
        if any(call.endswith("import_module") or call == "__import__" for call in calls):
            assert module_name(file) in allowed


def test_the_package_alone_imports_nothing_heavy() -> None:
    code = "import labtech_cli.core.decorate, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"mlflow", "joblib", "rich", "typer", "psutil", "dask", "ray", "numpy", "pandas", "sqlite3"}


def _tool(*arguments: str) -> None:
    pytest.importorskip(arguments[0])
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT.parent, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    _tool("ruff", "check", ".")


def test_ruff_would_format_nothing() -> None:
    _tool("ruff", "format", "--check", "labtech_cli", "tests")


@pytest.mark.slow
def test_mypy_finds_nothing() -> None:
    """Half a second with its cache, more than ten without."""
    _tool("mypy")
