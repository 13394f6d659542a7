"""The product's source as syntax trees, for rules that no linter knows. It must not know the rules."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "tidewire"


@dataclass(frozen=True)
class Module:
    """One file of the product."""

    path: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, text: str) -> Module:
        """Read a file's text; every node then knows its parent as ``node.parent``."""
        tree = ast.parse(text)
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                child.parent = node  # type: ignore[attr-defined]
        return cls(path, tree)

    def place(self, node: ast.AST) -> str:
        """Return ``file:line``."""
        return f"{self.path}:{node.lineno}"  # type: ignore[attr-defined]


@functools.cache
def modules() -> tuple[Module, ...]:
    """Return every file of the product."""
    return tuple(Module.parse(str(path.relative_to(ROOT)), path.read_text()) for path in sorted(SRC.rglob("*.py")))


def above(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node stands in, innermost first."""
    while (node := getattr(node, "parent", None)) is not None:  # type: ignore[assignment]
        yield node


def name_of(node: ast.AST) -> str:
    """Return the last word of ``a``, ``x.a`` or ``x.a()``; empty for anything else."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """Yield every call inside a node."""
    return (found for found in ast.walk(node) if isinstance(found, ast.Call))
