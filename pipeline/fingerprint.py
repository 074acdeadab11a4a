"""Fingerprints: what decides whether a stage has to run again (its code, settings, environment and input bytes)."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.stage import Stage

SOURCE_ROOT = Path(__file__).resolve().parents[1]
FIRST_PARTY = ("pipeline", "components", "custom_layers")


def hash_ingredients(parts: Mapping[str, Any]) -> str:
    """Returns the hexadecimal SHA-256 of the canonical JSON."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def ingredients(stage: Stage, input_digests: Mapping[str, str], root: Path) -> dict[str, Any]:
    """Collects everything the outputs of a stage depend on, as JSON values.

    Args:
        stage: Its name, code, settings and environment count.
        input_digests: Input key → digest of its content.
        root: The pipeline's root folder, for `Stage.environment`.
    """
    return {
        "stage": stage.stage_name(),
        "class": type(stage).__qualname__,
        "code": code_digests(type(stage).__module__),
        "settings": stage.settings(),
        "environment": stage.environment(root),
        "inputs": dict(input_digests),
    }


def digest_folder(path: Path) -> str:
    """Hashes the files of a folder: relative paths, in order, and bytes. Times, modes and empty folders do not count.

    Returns:
        A hexadecimal SHA-256.
    """
    total = hashlib.sha256()
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    for name in sorted(files):
        with files[name].open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{len(name.encode())}:{name}={content}\n".encode())
    return total.hexdigest()


def code_digests(module_name: str, source_root: Path = SOURCE_ROOT) -> dict[str, str]:
    """Hashes the code of a module and of each first-party module that it reaches, without importing anything.

    Reached is what an import statement names anywhere in a file, functions included, with the `__init__` files on the
    way. A plain string that is the dotted name of a first-party module counts as an import too: that is how a stage
    names a module it starts in a child process. Comments, docstrings and layout do not count. Files that are no
    Python do not count either: a stage that reads one has to name it in its `environment`.

    Args:
        module_name: Dotted name of the module of a stage.
        source_root: The folder that holds the first-party packages.

    Returns:
        Dotted name → hexadecimal SHA-256.

    Raises:
        ValueError: The module has no source file.
    """
    reached: dict[str, str] = {}
    waiting = [module_name]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        file = _source_file(name, source_root)
        if file is None and name == module_name:
            file = _loaded_file(name)
        if file is None:  # a folder without __init__.py, or an attribute that looked like a module
            continue
        parsed = _parse(file)
        reached[name] = parsed.digest
        waiting += [found for found in parsed.names(name) if _source_file(found, source_root) is not None]
    return reached


def _source_file(name: str, source_root: Path) -> Path | None:
    """Returns the file of a first-party module or package, or None."""
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    path = source_root.joinpath(*name.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _loaded_file(name: str) -> Path:
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file or not file.endswith(".py"):
        raise ValueError(f"Fingerprint: a stage must come from a Python source file. Received: module={name!r}.")
    return Path(file)


class _Parsed:
    """One source file, reduced to what counts: a digest of its code and the modules it may reach."""

    def __init__(self, file: Path) -> None:
        tree = ast.parse(file.read_bytes(), filename=str(file))
        _drop_strings_nobody_reads(tree)
        self.digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
        self._is_package = file.name == "__init__.py"
        self._imports = list(_imports(tree))

    def names(self, module: str) -> Iterator[str]:
        """Yields the dotted names reached from `module`, each with the packages on its way."""
        package = module.split(".") if self._is_package else module.split(".")[:-1]
        for level, name in self._imports:
            parts = [part for part in name.split(".") if part]
            if level:
                parts = package[: len(package) - level + 1] + parts
            if parts and parts[0] in FIRST_PARTY:
                for end in range(1, len(parts) + 1):
                    yield ".".join(parts[:end])


_parse = functools.cache(_Parsed)


def _drop_strings_nobody_reads(tree: ast.AST) -> None:
    """Removes docstrings, and every other string that stands alone as a statement."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [statement for statement in statements if not _is_bare_string(statement)])


def _is_bare_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yields (dots of a relative import, dotted name) of everything that may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""
            for alias in node.names:
                yield node.level, f"{node.module or ''}.{alias.name}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            first, dot, _ = node.value.partition(".")
            if dot and first in FIRST_PARTY:
                yield 0, node.value
