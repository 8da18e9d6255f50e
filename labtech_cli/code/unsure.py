"""Calls after which the code cannot be followed any further, and why."""

from __future__ import annotations

import ast

from labtech_cli.code.modules import Meaning
from labtech_cli.code.scopes import Open

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
    "operator.attrgetter": (0, "takes an attribute whose name is computed"),
    "operator.methodcaller": (0, "calls a method whose name is computed"),
}


def doubts(function: Open, meaning: Meaning | None, call: ast.Call, first: Meaning | None) -> tuple[int, str]:
    """The line and the reason why what `call` calls cannot be told; an empty reason when it can."""
    if function.chain[-1] == "__subclasses__":
        return call.lineno, f"uses whatever subclasses {'.'.join(function.chain[:-1])} has"
    for name in meaning.outside if meaning is not None else ():
        if name in _ALWAYS:
            return call.lineno, _ALWAYS[name]
        where, reason = _COMPUTED.get(name, (0, ""))
        if reason and not _is_text(call, where) and not (where and _is_outside(first)):
            return call.lineno, reason
    return call.lineno, ""


def named_module(meaning: Meaning | None, call: ast.Call) -> str:
    """The module that a call imports by a name written out; empty for other calls."""
    if meaning is None or not {"builtins.__import__", "importlib.import_module"} & set(meaning.outside):
        return ""
    first = call.args[0] if call.args else None
    named = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
    return named if named and not named.startswith(".") else ""


def _is_text(call: ast.Call, where: int) -> bool:
    item = call.args[where] if len(call.args) > where else None
    return isinstance(item, ast.Constant)


def _is_outside(meaning: Meaning | None) -> bool:
    """Whether it is an installed package's: any attribute of it is that package's too."""
    return meaning is not None and bool(meaning.outside) and not meaning.keys and not meaning.modules
