"""Whether a ComfyUI tree has every name the pack uses, told from the sources alone: nothing is imported or run.

Found are names of the host's modules, classes and functions, and arguments that a function does not take. Not found
are methods of objects that are made at run time.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .folders import PACK

BLOCKS = ("body", "orelse", "finalbody", "handlers")


@dataclass(frozen=True)
class Missing:
    """Something of the host that is not as the pack uses it."""

    file: str  # in the pack
    line: int
    name: str
    fault: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.name} {self.fault}"


def statements(body: list) -> Iterator[ast.stmt]:
    """The statements of a module or class, those inside if, try, with and loops included."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for block in BLOCKS:
                yield from statements(getattr(statement, block, []))


def defined(body: list) -> dict[str, ast.AST]:
    """Name -> the statement that gives it its meaning."""
    found: dict[str, ast.AST] = {}
    for statement in statements(body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[statement.name] = statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                found[alias.asname or alias.name.split(".")[0]] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        found[name.id] = statement
    return found


@dataclass
class Module:
    """A module of the tree."""

    name: str
    path: Path
    tree: HostTree = field(repr=False)

    @cached_property
    def names(self) -> dict[str, ast.AST]:
        return defined(ast.parse(self.path.read_text("utf-8", errors="replace")).body)

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


@dataclass(frozen=True)
class Found:
    """A definition, and the module it stands in."""

    node: ast.AST
    module: Module


class HostTree:
    """The modules of a ComfyUI folder, read when they are asked for."""

    def __init__(self, path: Path):
        self.path = path
        self._modules: dict[str, Module | None] = {}

    def owns(self, dotted: str) -> bool:
        """Whether the first part of a dotted name is a module of ComfyUI's, not of a library."""
        first = dotted.partition(".")[0]
        return (self.path / first).is_dir() or (self.path / f"{first}.py").is_file()

    def module(self, dotted: str) -> Module | None:
        if dotted not in self._modules:
            stem = self.path.joinpath(*dotted.split("."))
            files = [path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()]
            self._modules[dotted] = Module(dotted, files[0], self) if files else None
        return self._modules[dotted]

    def is_namespace(self, dotted: str) -> bool:
        return self.path.joinpath(*dotted.split(".")).is_dir()

    def resolve(self, dotted: str) -> Found | Module | str | None:
        """What a dotted name means: a definition or a module; None if there is no such thing; a text where the
        sources do not say."""
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            prefix = ".".join(parts[:length])
            module = self.module(prefix)
            if module is not None or (length == len(parts) and self.is_namespace(prefix)):
                return self._inside(module, parts[length:]) if module is not None else "a folder"
        return None

    def _inside(self, module: Module, rest: list[str], depth: int = 0) -> Found | Module | str | None:
        if not rest:
            return module
        if depth > 20:
            return "too deep"
        node = module.names.get(rest[0])
        if node is None:
            return self._by_star(module, rest, depth)
        if isinstance(node, ast.Import | ast.ImportFrom):
            return self._imported(module, node, rest, depth)
        if len(rest) == 1:
            return Found(node, module)
        if isinstance(node, ast.ClassDef):
            return self._of_class(Found(node, module), rest[1:], depth)
        return "made at run time"

    def _imported(self, module: Module, node: ast.Import | ast.ImportFrom, rest: list[str], depth: int):
        alias = next(a for a in node.names if (a.asname or a.name.split(".")[0]) == rest[0])
        if isinstance(node, ast.Import):
            target = alias.name if alias.asname else rest[0]
        else:
            base = _absolute(module, node)
            target = f"{base}.{alias.name}"
        if not self.owns(target):
            return "a library's"
        dotted = ".".join([target, *rest[1:]])
        return self.resolve(dotted) if dotted != f"{module.name}.{'.'.join(rest)}" else None

    def _by_star(self, module: Module, rest: list[str], depth: int):
        for statement in module.names.values():
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                source = self.module(_absolute(module, statement))
                found = None if source is None else self._inside(source, rest, depth + 1)
                if found is not None:
                    return found
        return self.module(f"{module.name}.{rest[0]}") if len(rest) == 1 else None

    def _of_class(self, found: Found, rest: list[str], depth: int) -> Found | Module | str | None:
        assert isinstance(found.node, ast.ClassDef)
        own = defined(found.node.body).get(rest[0])
        if own is not None:
            if len(rest) == 1:
                return Found(own, found.module)
            inner = Found(own, found.module)
            return self._of_class(inner, rest[1:], depth + 1) if isinstance(own, ast.ClassDef) else "made at run time"
        unknown = bool(found.node.decorator_list)  # a decorator may add anything
        for base in found.node.bases:
            parent = self._inside(found.module, _dotted(base).split("."), depth + 1) if _dotted(base) else "computed"
            if isinstance(parent, Found) and isinstance(parent.node, ast.ClassDef):
                inherited = self._of_class(parent, rest, depth + 1)
                if inherited is not None:
                    return inherited
            else:
                unknown = True
        return "perhaps inherited" if unknown else None

    def initialiser(self, found: Found) -> ast.FunctionDef | None:
        """What a call of a definition calls; None where the sources do not say."""
        node = found.node
        if isinstance(node, ast.FunctionDef):
            return node if not node.decorator_list else None
        if not isinstance(node, ast.ClassDef) or any("dataclass" in ast.dump(wrap) for wrap in node.decorator_list):
            return None
        made = self._of_class(found, ["__init__"], 0)
        return made.node if isinstance(made, Found) and isinstance(made.node, ast.FunctionDef) else None


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.package.split(".")
    kept = parts[: len(parts) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _dotted(node: ast.AST) -> str:
    """``a.b.c`` of an expression of names; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _fault_of_call(call: ast.Call, function: ast.FunctionDef, bound: bool) -> str | None:
    arguments = function.args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)][1 if bound else 0 :]
    names = {*positional, *(argument.arg for argument in arguments.kwonlyargs)}
    unknown = [word.arg for word in call.keywords if word.arg is not None and word.arg not in names]
    if unknown and arguments.kwarg is None:
        return f"takes no argument '{unknown[0]}'"
    given = len(call.args)
    if given > len(positional) and arguments.vararg is None and not any(isinstance(a, ast.Starred) for a in call.args):
        return f"takes {len(positional)} arguments, not {given}"
    return None


def uses(path: Path, tree: HostTree) -> Iterator[tuple[int, str, ast.Call | None]]:
    """(line, dotted name, call or None) of everything of the host that a file of the pack names.

    Imports inside ``try`` that have another way to go are left out.
    """
    source = ast.parse(path.read_text("utf-8"))
    optional = {
        id(inner)
        for block in ast.walk(source)
        if isinstance(block, ast.Try) and any("ImportError" in ast.dump(h) for h in block.handlers)
        for statement in block.body
        for inner in ast.walk(statement)
    }
    known: dict[str, str] = {}
    for node in ast.walk(source):
        if id(node) in optional:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                if tree.owns(alias.name):
                    known[alias.asname or first] = alias.name if alias.asname else first
                    yield node.lineno, alias.name, None
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module and tree.owns(node.module):
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield node.lineno, f"{node.module}.{alias.name}", None
    called = {id(node.func): node for node in ast.walk(source) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(source) if isinstance(node, ast.Attribute)}
    for node in ast.walk(source):
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner and (name := _dotted(node)):
            first, _, rest = name.partition(".")
            if first in known and (rest or id(node) in called) and not name.endswith("__"):
                yield node.lineno, ".".join(filter(None, (known[first], rest))), called.get(id(node))


def missing_names(host: Path, pack: Path = PACK) -> tuple[list[Missing], int]:
    """What a ComfyUI tree lacks of what the pack's nodes use, and how many different names were looked up."""
    tree, seen = HostTree(host), set()
    faults: dict = {}
    for path in sorted((pack / "nodes").rglob("*.py")):
        for line, name, call in uses(path, tree):
            seen.add(name)
            found = tree.resolve(name)
            fault = None
            if found is None:
                fault = "is not there"
            elif call is not None and isinstance(found, Found):
                function = tree.initialiser(found)
                bound = isinstance(found.node, ast.ClassDef) or "." in name and _is_method(tree, name)
                fault = None if function is None else _fault_of_call(call, function, bound)
            if fault is not None:
                faults.setdefault((name, fault), Missing(path.relative_to(pack).as_posix(), line, name, fault))
    return list(faults.values()), len(seen)


def _is_method(tree: HostTree, name: str) -> bool:
    holder = tree.resolve(name.rpartition(".")[0])
    return isinstance(holder, Found) and isinstance(holder.node, ast.ClassDef)
