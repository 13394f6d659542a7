"""The rules of reliability bar R21 that can be read off the source. Pure: a tree in, the places of breaches out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TypeGuard

from tests.meta.source import Module, above, calls, name_of

_LEVELS = {"warning", "error", "exception", "critical"}
_TASK_MAKERS = {"create_task", "ensure_future"}
_BROAD = {"Exception", "BaseException"}


def bare_handlers(module: Module) -> Iterator[str]:
    """Yield every ``except:``."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield module.place(node)


def silent_handlers(module: Module) -> Iterator[str]:
    """Yield every ``except Exception`` (or BaseException) that neither logs nor raises, itself or by what it calls.

    A call counts if a function of that name in the same file logs, at most two steps away. ``suppress`` of them never
    does.
    """
    for call in calls(module.tree):
        if name_of(call) == "suppress" and any(map(_is_broad, call.args)):
            yield module.place(call)
    speaking = _speaking(module)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is not None and _is_broad(node.type):
            handed_on = any(name_of(call) in speaking for call in calls(node))
            if not (_speaks(node) or handed_on):
                yield module.place(node)


def _is_broad(kind: ast.expr) -> bool:
    return any(name_of(part) in _BROAD for part in (kind.elts if isinstance(kind, ast.Tuple) else [kind]))


def _speaks(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Raise) for part in ast.walk(node)) or any(map(is_log_call, calls(node)))


def is_log_call(call: ast.Call) -> bool:
    """Whether a call writes a log line that an operator sees at the default level."""
    return (
        isinstance(call.func, ast.Attribute) and call.func.attr in _LEVELS and name_of(call.func.value).endswith("log")
    )


def _speaking(module: Module) -> set[str]:
    functions = [n for n in ast.walk(module.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = {function.name for function in functions if any(map(is_log_call, calls(function)))}
    return found | {f.name for f in functions if any(name_of(call) in found for call in calls(f))}


def half_readers(module: Module) -> Iterator[str]:
    """Yield every handler of bytes from a stranger that lets nesting too deep through.

    Whoever expects both that such bytes are not UTF-8 and that they are not what was asked for expects all of
    ``core.unreadable``.
    """
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Try):
            continue
        caught = [
            name_of(part)
            for handler in node.handlers
            if handler.type is not None
            for part in (handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])
        ]
        if {"DecodeError", "UnicodeDecodeError"} <= {*caught} and "RecursionError" not in caught:
            yield module.place(node)


def lost_tasks(module: Module) -> Iterator[str]:
    """Yield every task whose end nobody looks at.

    A task made by ``core.background`` tells its own death. Any other must be awaited in the function that makes it, or
    have a done-callback that does more than forget it.
    """
    if module.path.endswith("core/background.py"):
        return
    for call in calls(module.tree):
        # A TaskGroup awaits its tasks and raises their faults; groups are called so.
        in_group = isinstance(call.func, ast.Attribute) and name_of(call.func.value).endswith("group")
        if name_of(call) in _TASK_MAKERS and not in_group and not _is_looked_at(module, call):
            yield module.place(call)


def _is_looked_at(module: Module, call: ast.Call) -> bool:
    for node in above(call):
        if isinstance(node, ast.Await):
            return True
        if isinstance(node, ast.Assign):
            return any(_has_reader(module, node, target) for target in node.targets)
        if isinstance(node, ast.stmt):
            return False
    return False


def _has_reader(module: Module, made: ast.Assign, target: ast.expr) -> bool:
    name = name_of(target)
    callbacks = (
        c for c in calls(module.tree) if name_of(c) == "add_done_callback" and isinstance(c.func, ast.Attribute)
    )
    if any(name_of(c.func.value) == name and name_of(c.args[0]) != "discard" for c in callbacks):  # type: ignore[attr-defined]
        return True
    # A task kept in an attribute outlives the function: an await there need not see its end.
    if isinstance(target, ast.Attribute):
        return False
    function = next(node for node in above(made) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    awaits = (node for node in ast.walk(function) if isinstance(node, ast.Await))
    return any(name_of(part) == name for node in awaits for part in ast.walk(node))


def unspoken_errors(module: Module, errors: set[str]) -> Iterator[str]:
    """Yield every error made without three sentences: what happened, the action required, what will not be done.

    Args:
        errors: Names of the error classes; one that the file imports from a foreign package is not meant.
    """
    errors = errors - _foreign_names(module)
    for call in calls(module.tree):
        given = {word.arg: word.value for word in call.keywords}
        # **described: the three come from an error that is checked where it is made.
        if name_of(call) not in errors or None in given:
            continue
        message = call.args[0] if call.args else given.get("message")
        for part, value in (
            ("message", message),
            *((word, given.get(word)) for word in ("required_action", "will_not")),
        ):
            if value is None or not _may_be_sentence(value):
                yield f"{module.place(call)} {name_of(call)} {part}"


def _foreign_names(module: Module) -> set[str]:
    imports = [n for n in ast.walk(module.tree) if isinstance(n, ast.ImportFrom)]
    foreign = (n for n in imports if not (n.module or "").startswith("tidewire"))
    return {alias.asname or alias.name for n in foreign for alias in n.names}


def codes_of(module: Module, errors: set[str]) -> Iterator[str]:
    """Yield every literal ``code`` that an error is given, or that its class has; numbers that vary are ``N``."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and name_of(node) in errors:
            yield from (text for word in node.keywords if word.arg == "code" for text in _codes(word.value))
        elif isinstance(node, ast.Call) and name_of(node) == "upstream_error":
            yield from _codes(node.args[0])
        elif isinstance(node, ast.ClassDef) and node.name in errors:
            yield from (text for item in node.body if _is_code(item) for text in _codes(item.value))


def _is_code(item: ast.stmt) -> TypeGuard[ast.Assign]:
    return isinstance(item, ast.Assign) and name_of(item.targets[0]) == "code"


def _codes(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Constant):
        yield re.sub(r"\d", "N", str(value.value))
    elif isinstance(value, ast.JoinedStr) and isinstance(value.values[0], ast.Constant):
        # http_{status} has three digits, close_{code} and protocol_{code} four.
        head = str(value.values[0].value)
        yield head + ("NNN" if head == "http_" else "NNNN")


def _may_be_sentence(value: ast.expr) -> bool:
    """Whether a text is a sentence as far as it is written down; what is computed is believed."""
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str) and _is_sentence(value.value)
    if isinstance(value, ast.JoinedStr):
        last = value.values[-1]
        return not isinstance(last, ast.Constant) or str(last.value).rstrip().endswith((".", "?", ":"))
    if isinstance(value, ast.IfExp):
        return _may_be_sentence(value.body) and _may_be_sentence(value.orelse)
    return True


def _is_sentence(text: str) -> bool:
    return len(text.split()) >= 2 and text.rstrip().endswith(".") and (text[0].isupper() or not text[0].isalpha())
