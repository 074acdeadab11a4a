"""What code a stage reaches, as digests of its modules: an edit of any of them makes the stage run again."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.files import TEMPORARY

SOURCE_ROOT = Path(__file__).resolve().parents[1]
FIRST_PARTY = ("pipeline", "components", "custom_layers")
CACHE = ".code.json"  # in the root folder: what source files came to, as parsing all of them takes a second
# Who wrote a cache: another interpreter, or another version of this file, may see other things in a source file.
_MAKER = f"{sys.version} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"

# A file reduced to what counts: a digest of its code, and (dots of a relative import, dotted name) of what it reaches.
Parsed = tuple[str, list[tuple[int, str]]]


def code_digests(module_name: str, source_root: Path = SOURCE_ROOT, cache: Path | None = None) -> dict[str, str]:
    """Hashes the code of a module and of each first-party module that it reaches, without importing anything.

    Reached is what an import statement names anywhere in a file, functions included, with the `__init__` files on the
    way. A plain string that is the dotted name of a first-party module counts as an import too: that is how a stage
    names a module it starts in a child process. Comments, docstrings and layout do not count. Files that are no
    Python do not count either: a stage that reads one has to name it in its `environment`.

    Args:
        module_name: Dotted name of the module of a stage.
        source_root: The folder that holds the first-party packages.
        cache: File for what source files came to, by their content; written if it can be.

    Returns:
        Dotted name → hexadecimal SHA-256.

    Raises:
        ValueError: The module has no source file.
    """
    known = _read_cache(cache) if cache is not None else {}
    before = len(known)
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
        source = file.read_bytes()
        key = hashlib.sha256(source).hexdigest()
        if key not in known:
            known[key] = _parse(source, str(file))
        reached[name], imports = known[key]
        waiting += _names(imports, name, file.name == "__init__.py")
    if cache is not None and len(known) > before:
        _write_cache(cache, known)
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


def _names(imports: list[tuple[int, str]], module: str, is_package: bool) -> Iterator[str]:
    """Yields the dotted names reached from a module, each with the packages on its way."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for level, name in imports:
        parts = [part for part in name.split(".") if part]
        if level:
            parts = package[: len(package) - level + 1] + parts
        if parts and parts[0] in FIRST_PARTY:
            for end in range(1, len(parts) + 1):
                yield ".".join(parts[:end])


# ---- One file -------------------------------------------------------------------------------------------------------


def _parse(source: bytes, filename: str) -> Parsed:
    tree = ast.parse(source, filename=filename)
    _drop_strings_nobody_reads(tree)
    first_party = [(level, name) for level, name in _imports(tree) if level or name.partition(".")[0] in FIRST_PARTY]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), list(dict.fromkeys(first_party))


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


# ---- The cache ------------------------------------------------------------------------------------------------------


@functools.cache
def _read_cache(file: Path) -> dict[str, Parsed]:
    """SHA-256 of a source file → what it came to; one object for all stages of a process, to add to."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # none, or a damaged one, is made anew
        stored = json.loads(file.read_text("utf-8"))
        if stored["maker"] == _MAKER:
            return {key: (digest, [(dots, name) for dots, name in names]) for key, digest, names in stored["files"]}
    return {}


def _write_cache(file: Path, known: dict[str, Parsed]) -> None:
    files = [(key, *parsed) for key, parsed in list(known.items())]  # another thread may add to it
    temporary = file.parent / TEMPORARY / f"{os.getpid()}{file.name}"
    with contextlib.suppress(OSError):  # a root that is read-only, or not there yet: the next run parses again
        try:
            temporary.write_text(json.dumps({"maker": _MAKER, "files": files}), encoding="utf-8")
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
