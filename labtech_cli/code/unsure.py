"""Calls after which the code cannot be followed any further, and why."""

from __future__ import annotations

import ast

from labtech_cli.code.modules import Meaning
from labtech_cli.code.places import Place
from labtech_cli.code.scopes import Open
from labtech_cli.code.words import is_class_of

ANY_ATTRIBUTE = "takes an attribute whose name is computed"
_ALWAYS = {
    "builtins.exec": "runs a text as code",
    "builtins.eval": "runs a text as code",
    "builtins.globals": "uses names of the module by text",
    "importlib.metadata.entry_points": "uses whatever is installed as a plug-in",
    "importlib_metadata.entry_points": "uses whatever is installed as a plug-in",
    "pkg_resources.iter_entry_points": "uses whatever is installed as a plug-in",
    "pkgutil.resolve_name": "takes what a text names",
    "subprocess.run": "starts a program",
    "subprocess.call": "starts a program",
    "subprocess.check_call": "starts a program",
    "subprocess.check_output": "starts a program",
    "subprocess.Popen": "starts a program",
    "os.system": "starts a program",
    "os.popen": "starts a program",
    "pkgutil.iter_modules": "uses whatever modules are there",
    "pkgutil.walk_packages": "uses whatever modules are there",
    "importlib.util.spec_from_file_location": "imports a file by its path",
    "runpy.run_path": "runs a file by its path",
    "runpy.run_module": "runs a module by its name",
    "ctypes.CDLL": "uses a library whose source is not available",
    "ctypes.cdll.LoadLibrary": "uses a library whose source is not available",
}
_COMPUTED = {
    "builtins.getattr": (1, ANY_ATTRIBUTE),
    "builtins.__import__": (0, "imports a module whose name is computed"),
    "importlib.import_module": (0, "imports a module whose name is computed"),
    "importlib.__import__": (0, "imports a module whose name is computed"),
    "operator.attrgetter": (0, ANY_ATTRIBUTE),
    "operator.methodcaller": (0, ANY_ATTRIBUTE),
    "inspect.getmembers": (9, ANY_ATTRIBUTE),
    "inspect.getmembers_static": (9, ANY_ATTRIBUTE),
}
_AS_VALUES = ("builtins.getattr", "builtins.eval", "builtins.exec", "builtins.__import__", "importlib.import_module")
_TAKES = ("__getattribute__", "__getattr__")


def doubts(
    function: Open, meaning: Meaning | None, call: ast.Call, first: Meaning | None, place: Place
) -> tuple[int, str]:
    """The line and the reason why what `call` calls cannot be told; an empty reason when it can."""
    if function.chain[-1] == "__subclasses__":
        return call.lineno, f"uses whatever subclasses {'.'.join(function.chain[:-1])} has"
    if len(function.chain) > 1 and function.chain[-1] in _TAKES and not _is_text(call, len(call.args) - 1):
        return call.lineno, ANY_ATTRIBUTE
    for name in meaning.outside if meaning is not None else ():
        if name in _ALWAYS:
            return call.lineno, _ALWAYS[name]
        if name == "builtins.vars" and call.args and _is_class(call.args[0], first):
            return call.lineno, ANY_ATTRIBUTE
        where, reason = _COMPUTED.get(name, (0, ""))
        if not reason or (where and _is_outside(first)):
            continue
        if not _is_text(call, where) or (_is_relative(call) and not named_module(meaning, call, place)):
            return call.lineno, reason
    return call.lineno, ""


def doubts_of_value(meaning: Meaning | None) -> str:
    """Why what a name stands for, used as a value and not called, cannot be followed: `g = getattr`."""
    names = [name for name in meaning.outside if name in _AS_VALUES] if meaning is not None else []
    return (_ALWAYS.get(names[0]) or _COMPUTED[names[0]][1]) if names else ""


def named_module(meaning: Meaning | None, call: ast.Call, place: Place) -> str:
    """The module that a call at `place` imports by a name written out; empty for other calls."""
    if meaning is None or not {"builtins.__import__", "importlib.import_module"} & set(meaning.outside):
        return ""
    first = call.args[0] if call.args else None
    named = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
    if not named.startswith("."):
        return named
    package = _package(call, place).split(".")
    level = len(named) - len(named.lstrip("."))
    kept = package[: max(0, len(package) - level + 1)]
    return ".".join([*kept, named.lstrip(".")]).rstrip(".") if kept and kept[0] else ""


def _package(call: ast.Call, place: Place) -> str:
    """The package that a relative name is in; empty where that is not written out."""
    given = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "package"), None)
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        return given.value
    if isinstance(given, ast.Name) and given.id == "__package__":
        return place.name if place.folders else place.name.rpartition(".")[0]
    return place.name if isinstance(given, ast.Name) and given.id == "__name__" and place.folders else ""


def _is_relative(call: ast.Call) -> bool:
    first = call.args[0] if call.args else None
    return isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.startswith(".")


def _is_class(node: ast.expr, meaning: Meaning | None) -> bool:
    """Whether an expression is a class: a name of the project's, or the class of something."""
    if isinstance(node, ast.Attribute):
        return node.attr == "__class__"
    return is_class_of([], node) or (meaning is not None and bool(meaning.keys))


def _is_text(call: ast.Call, where: int) -> bool:
    item = call.args[where] if len(call.args) > where else None
    return isinstance(item, ast.Constant)


def _is_outside(meaning: Meaning | None) -> bool:
    """Whether it is an installed package's: any attribute of it is that package's too."""
    return meaning is not None and bool(meaning.outside) and not meaning.keys and not meaning.modules
