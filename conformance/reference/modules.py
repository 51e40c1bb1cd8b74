"""Modules as their documentation describes them: tables of named parameters, buffers, children.

What is held is named by a label of the caller's; two entries with one label are the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Named = list[tuple[str, str]]
"""Dotted names and the labels of what they name, in order."""


class Node:
    """One module: a table for each kind of member, in order of assignment."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.parameters: dict[str, str | None] = {}
        self.buffers: dict[str, str | None] = {}
        self.children: dict[str, Node | None] = {}
        self.transient: set[str] = set()
        self.training = True

    def tables(self) -> tuple[dict[str, Any], ...]:
        """Return the three tables."""
        return self.parameters, self.buffers, self.children

    def has(self, name: str) -> bool:
        """Tell whether a name is that of a member, be it None."""
        return any(name in table for table in self.tables())

    def assign(self, kind: str, name: str, value: Any) -> None:
        """Put a member under a name: in its place if it is of the same kind, else at the end."""
        own = getattr(self, kind)
        for table in self.tables():
            if table is not own:
                table.pop(name, None)
        own[name] = value
        if kind != "buffers":
            self.transient.discard(name)

    def clear(self, name: str) -> None:
        """Set a member to None, which keeps its name."""
        next(table for table in self.tables() if name in table)[name] = None

    def delete(self, name: str) -> None:
        """Forget a member."""
        next(table for table in self.tables() if name in table).pop(name)
        self.transient.discard(name)


def dotted(prefix: str, name: str) -> str:
    """Return the name of a member of what has the name ``prefix``, if it has any."""
    return f"{prefix}.{name}" if prefix else name


def walk(node: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield a module and those below it, itself first, once for each path that leads there."""
    yield prefix, node
    for name, child in node.children.items():
        if child is not None:
            yield from walk(child, dotted(prefix, name))


def once(named: Iterator[tuple[str, Node]]) -> Iterator[tuple[str, Node]]:
    """Yield modules the first time that they occur."""
    seen: set[str] = set()
    for name, node in named:
        if node.label not in seen:
            seen.add(node.label)
            yield name, node


def named_modules(node: Node, prefix: str = "", remove_duplicate: bool = True) -> Named:
    """Return every module of the network by name."""
    found = walk(node, prefix)
    return [(name, n.label) for name, n in (once(found) if remove_duplicate else found)]


def named_children(node: Node) -> Named:
    """Return the direct children by name, each the first time."""
    present = [(name, child.label) for name, child in node.children.items() if child is not None]
    return _distinct(present)


def named_tensors(
    node: Node, kind: str, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
) -> Named:
    """Return the parameters or the buffers of a module, and those below it if ``recurse``."""
    modules = list(walk(node, prefix)) if recurse else [(prefix, node)]
    found = [
        (dotted(path, name), label)
        for path, module in modules
        for name, label in getattr(module, kind).items()
        if label is not None
    ]
    return _distinct(found) if remove_duplicate else found


def state(node: Node, prefix: str = "") -> Named:
    """Return the entries of a state_dict: shared ones under each name, without transient buffers.

    Those of a module come before those of its children.
    """
    own = [
        (prefix + name, label)
        for table, hidden in ((node.parameters, set()), (node.buffers, node.transient))
        for name, label in table.items()
        if label is not None and name not in hidden
    ]
    for name, child in node.children.items():
        if child is not None:
            own += state(child, f"{prefix}{name}.")
    return own


def each_before_its_parent(node: Node, visit: Callable[[str], None]) -> None:
    """Visit the children, each once, and what is below them, then the module itself."""
    seen: set[str] = set()
    for child in node.children.values():
        if child is not None and child.label not in seen:
            seen.add(child.label)
            each_before_its_parent(child, visit)
    visit(node.label)


def _distinct(named: Named) -> Named:
    found: dict[str, str] = {}
    for name, label in named:
        found.setdefault(label, name)
    return [(name, label) for label, name in found.items()]
