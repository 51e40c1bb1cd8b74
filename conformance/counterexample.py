"""A violated law as one script that needs torch and NumPy, and nothing of this package.

The script holds the inputs as literals, the law's own text, and the text of every function of
the package that the law reaches: found by following names through the modules' syntax trees.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from conformance.law import Law
from conformance.target import Target
from strategies.source import source

OURS = ("conformance", "strategies")

REPLACED: dict[tuple[str, str], str] = {
    ("conformance.evidence", "compared"): "def compared(*_):\n    pass",
    ("conformance.evidence", "has_values"): "def has_values():\n    return True",
    ("conformance.evidence", "is_refusal"): "def is_refusal(_):\n    return False",
    ("conformance.evidence", "judges_words"): "def judges_words():\n    return {words}",
    ("conformance.evidence", "judgeable"): "def judgeable(capability):\n"
    "    return not lacks(capability)",
    ("conformance.evidence", "remember"): "def remember(tensor, drawn):\n"
    "    target.drawn[tensor] = tensor._version, drawn",
    ("conformance.evidence", "remembered"): "def remembered(tensor):\n"
    "    version, drawn = target.drawn.get(tensor, (None, None))\n"
    "    return drawn if version == tensor._version else None",
    ("strategies.devices", "lacks"): "def lacks(capability):\n    return capability in {lacks}",
}
"""Functions that mean something only within a run, and what stands for them in a script.

``{lacks}`` is what the script's target lacks, ``{words}`` whether the words of its errors count.
"""

_TARGET = "target = SimpleNamespace("

Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


class Imported(NamedTuple):
    """A name that a module imports: from ``module``, ``name`` in it or None for the whole."""

    module: str
    name: str | None
    text: str

    @property
    def ours(self) -> bool:
        """Whether the name comes from this package."""
        return self.module.split(".")[0] in OURS


@cache
def _lines(module: str) -> list[str]:
    return inspect.getsource(import_module(module)).splitlines()


@cache
def _names(module: str) -> dict[str, Definition | Imported]:
    """What each top-level name of a module stands for."""
    names: dict[str, Definition | Imported] = {}
    for node in ast.parse("\n".join(_lines(module))).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names[node.name] = node
        elif isinstance(node, ast.Assign):
            names.update({t.id: node for t in node.targets if isinstance(t, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = node
        elif isinstance(node, ast.Import):
            for alias in node.names:
                text = ast.unparse(ast.Import([alias]))
                names[alias.asname or alias.name] = Imported(alias.name, None, text)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                text = ast.unparse(ast.ImportFrom(node.module, [alias], 0))
                names[alias.asname or alias.name] = _from_import(node.module, alias.name, text)
    return names


def _from_import(module: str, name: str, text: str) -> Imported:
    whole = f"{module}.{name}"
    if module.split(".")[0] in OURS and inspect.ismodule(getattr(import_module(module), name)):
        return Imported(whole, None, text)
    return Imported(module, name, text)


class _Uses(ast.NodeVisitor):
    """Names and attributes of names that a piece of code evaluates; annotations are not."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.names.append(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name):
            self.attributes.append((node.value.id, node.attr))
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arguments(self, node: ast.arguments) -> None:
        for default in (*node.defaults, *node.kw_defaults):
            if default is not None:
                self.visit(default)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.visit(node.args)
        for child in (*node.decorator_list, *node.body):
            self.visit(child)


class Script:
    """A script under construction: imports, definitions, and stand-ins for our modules."""

    def __init__(self, target: Target) -> None:
        lacks = repr(tuple(sorted(target.lacks)))
        self.told = {"{lacks}": lacks, "{words}": repr(target.judges_words)}
        self.imports: set[str] = set()
        self.definitions: dict[tuple[str, str], str] = {}
        self.namespaces: dict[str, list[str]] = {}

    def need(self, module: str, name: str) -> None:
        """Add what ``name`` stands for in ``module``, and all that it needs in turn."""
        found = _names(module).get(name)
        if found is None:
            return
        if isinstance(found, Imported):
            if not found.ours:
                self.imports.add(found.text)
            elif found.name is not None:
                self.need(found.module, found.name)
        elif (module, name) in REPLACED:
            text = REPLACED[module, name]
            for place, told in self.told.items():
                text = text.replace(place, told)
            self.definitions[module, name] = text
            self.need_all(module, ast.parse(text))
        elif (module, name) not in self.definitions:
            self._check_single(name)
            self.definitions[module, name] = ""  # reserves: definitions may need each other
            self.need_all(module, found)
            del self.definitions[module, name]
            decorators = getattr(found, "decorator_list", [])
            first = decorators[0].lineno if decorators else found.lineno
            self.definitions[module, name] = "\n".join(_lines(module)[first - 1 : found.end_lineno])

    def _check_single(self, name: str) -> None:
        if hasattr(builtins, name):
            raise ValueError(f"a script would hide the built-in {name}: give ours another name")
        homes = [home for home, other in self.definitions if other == name]
        if homes:
            raise ValueError(f"a script would define {name} twice, from {homes[0]} and elsewhere")

    def need_all(self, module: str, code: ast.AST) -> None:
        """Add everything that a piece of a module's code evaluates."""
        uses = _Uses()
        uses.visit(code)
        for name in uses.names:
            self.need(module, name)
        for name, attribute in uses.attributes:
            found = _names(module).get(name)
            if isinstance(found, Imported) and found.ours and found.name is None:
                self.need(found.module, attribute)
                attributes = self.namespaces.setdefault(name, [])
                if attribute not in attributes:
                    attributes.append(attribute)


def _own_classes(value: object) -> Iterator[type]:
    """Classes of this package among a value's parts, whose names its source text uses."""
    kind = type(value)
    if kind.__module__.split(".")[0] in OURS:
        yield kind
    if isinstance(value, Mapping):
        value = tuple(value.values())
    parts: Any = value if isinstance(value, (tuple, list)) else getattr(value, "__dict__", {})
    for part in parts.values() if isinstance(parts, dict) else parts:
        yield from _own_classes(part)


def _entry_text(entry: Any, script: Script) -> str:
    """An entry of a table: the fields that a law may read; how its inputs are drawn is not one."""
    kept = [f.name for f in fields(entry) if not f.metadata.get("draws")]
    texts = (f"    {name}={_value_text(getattr(entry, name), script)},\n" for name in kept)
    return f"SimpleNamespace(\n{''.join(texts)})"


def _value_text(value: Any, script: Script) -> str:
    if isinstance(value, np.ufunc):
        return f"np.{value.__name__}"
    home = getattr(value, "__module__", "") or ""
    if home.split(".")[0] == "numpy":
        return f"np{home.removeprefix('numpy')}.{value.__name__}"
    if inspect.isfunction(value) and home.split(".")[0] in OURS:
        if value.__name__ not in _names(home):
            raise ValueError(f"{home}.{value.__qualname__}: a script needs a function with a name")
        script.need(home, value.__name__)
        return value.__name__
    if isinstance(value, partial):
        words = [f"{k}={_value_text(v, script)}" for k, v in value.keywords.items()]
        parts = [_value_text(v, script) for v in (value.func, *value.args)]
        return f"partial({', '.join((*parts, *words))})"
    if type(value) is tuple:
        return f"({''.join(f'{_value_text(part, script)}, ' for part in value)})"
    return "{}" if isinstance(value, Mapping) else source(value)


def _case_text(law: Law, case: str, script: Script) -> str:
    if is_dataclass(law.cases[case]):
        return _entry_text(law.cases[case], script)
    try:
        text = source(law.cases[case])
    except TypeError:
        pass
    else:
        for kind in _own_classes(law.cases[case]):
            script.need(kind.__module__, kind.__name__)
        return text
    module = law.function.__module__
    declared = _names(module)[law.function.__name__]
    assert isinstance(declared, ast.FunctionDef)
    for decorator in declared.decorator_list:
        for keyword in getattr(decorator, "keywords", []):
            if keyword.arg == "over":
                script.need_all(module, keyword.value)
                return f"{ast.unparse(keyword.value)}[{case!r}]"
    raise ValueError(f"law {law.id}: its cases are not given by over=")


def _mode_text(target: Target, script: Script) -> tuple[str, str]:
    """How a target's mode calls ``operation`` on ``a`` and ``k``, and what surrounds the law."""
    mode, options = target.setting.mode, target.setting.options
    words = "".join(f", {name}={value!r}" for name, value in options.items())
    call, around = "resolve(operation)(*a, **k)", ""
    if mode.call is not None:
        _need_function(mode.call, script)
        call = f"{mode.call.__name__}(resolve(operation), a, k, target.device{words})"
    if mode.around is not None:
        _need_function(mode.around, script)
        around = f"with {mode.around.__name__}(target.device{words}):\n    "
    return call, around


def _need_function(function: Callable[..., Any], script: Script) -> None:
    """Add a function to a script: its text if it is ours, else its import."""
    if function.__module__.split(".")[0] in OURS:
        script.need(function.__module__, function.__name__)
    else:
        script.imports.add(f"from {function.__module__} import {function.__name__}")


def stand_alone(
    law: Law,
    case: str | None,
    target: Target,
    drawn: Mapping[str, Any],
    inputs: str,
    message: str,
    loaded: Sequence[str] = (),
) -> str:
    """Return the script that shows how ``law`` fails on ``inputs``.

    ``drawn`` are the values that the text ``inputs`` assigns; ``loaded`` names modules that
    the run imported first. The script raises what the law raised.
    """
    classes = (kind for value in drawn.values() for kind in _own_classes(value))
    homes = [(kind.__module__, kind.__name__) for kind in classes]
    return _written(law, case, target, list(drawn), homes, inputs, message, loaded)


def of_text(
    law: Law,
    case: str | None,
    target: Target,
    inputs: str,
    message: str,
    loaded: Sequence[str] = (),
) -> str:
    """Return the script for inputs of which only the text is left, as after a crash.

    Raises ``ValueError`` where the text lacks one of the inputs.
    """
    tree = ast.parse(inputs)
    assigned = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    names = [name.id for name in assigned if isinstance(name, ast.Name)]
    if set(names) != set(law.strategies):
        raise ValueError(f"law {law.id}: its inputs have no source text")
    uses = _Uses()
    uses.visit(tree)
    homes = [(home, name) for name in uses.names for home in _homes(name)]
    return _written(law, case, target, names, homes, inputs, message, loaded)


def _homes(name: str) -> list[str]:
    """The modules of the package, of those imported, that define a class or function."""
    ours = [home for home in sys.modules if home.split(".")[0] in OURS]
    found = {home: getattr(sys.modules[home], name, None) for home in ours}
    return [home for home, value in found.items() if getattr(value, "__module__", "") == home]


def _written(
    law: Law,
    case: str | None,
    target: Target,
    inputs_names: Sequence[str],
    homes: Sequence[tuple[str, str]],
    inputs: str,
    message: str,
    loaded: Sequence[str],
) -> str:
    module = law.function.__module__
    declared = _names(module)[law.function.__name__]
    assert isinstance(declared, ast.FunctionDef)
    script = Script(target)
    for statement in declared.body:
        script.need_all(module, statement)
    for home, name in homes:
        script.need(home, name)
    script.need("conformance.target", "resolve")
    if target.valueless:
        script.need("conformance.inputs", "without_values")
    remembering = "drawn={}, " if target.valueless else ""
    call, around = _mode_text(target, script)
    text = [] if case is None else [f"case = {_case_text(law, case, script)}"]
    names = ["target", *([] if case is None else ["case"]), *inputs_names]
    bare = {*inputs_names} if target.valueless else set()
    passed = [
        f"{name}=without_values({name}, target.device)" if name in bare else f"{name}={name}"
        for name in names
    ]
    imports = {"import torch", "import numpy as np", "from math import inf, nan"}
    imports |= {"from functools import partial", "from types import SimpleNamespace"}
    imports |= {f"import {name}" for name in loaded}
    members = {
        name: ", ".join(f"{a}={a}" for a in attributes)
        for name, attributes in script.namespaces.items()
    }
    label = law.id if case is None else f"{law.id}:{case}"
    body = _lines(module)[declared.lineno - 1 : declared.end_lineno]
    return "\n".join(
        [
            f"# {label} on {target.name}, torch {sys.modules['torch'].__version__}",
            f"# Law: {law.statement}",
            *(f"# {line}" for line in f"Violated: {message}".splitlines()),
            f"# {law.documentation(case)}",
            "from __future__ import annotations",
            "",
            *sorted(script.imports | imports),
            *(f"\n\n{definition}" for definition in script.definitions.values()),
            "\n",
            *(f"{name} = SimpleNamespace({attributes})" for name, attributes in members.items()),
            f"{_TARGET}device=torch.device({str(target.device)!r}), {remembering}run=lambda "
            f"operation, *a, **k: {call})",
            "\n",
            *body,
            "\n",
            *text,
            *([inputs] if inputs else []),
            f"{around}{law.function.__name__}({', '.join(passed)})",
            "",
        ]
    )


def for_any_target(script: str) -> str:
    """Return a stand-alone script without its target: whoever runs it provides one."""
    lines = script.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_TARGET))
