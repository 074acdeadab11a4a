"""Whether a stage runs or an earlier execution stands in for it, and why, in words."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.files import digest_folder
from pipeline.fingerprint import hash_ingredients
from pipeline.metadata import Execution, MetadataStore, paths_of
from pipeline.stage import Stage

FIRST_TIME = "first time"
_SHOWN = 3  # changes that are named; of more, the number
_LONGEST = 60  # characters of a value that is shown
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Decision:
    """What is to be done with a stage.

    Attributes:
        execution: The earlier execution that stands in for a new one; None if it has to run.
        reason: Why it has to run; empty if it has not.
    """

    execution: Execution | None
    reason: str


def decide(stage: Stage, parts: Mapping[str, Any], store: MetadataStore | None, root: Path, forced: bool) -> Decision:
    """Looks for an execution of the same fingerprint whose outputs are still what it wrote.

    Args:
        stage: The stage with its configuration.
        parts: What its fingerprint is made of.
        store: What is known of earlier executions; None if nothing is.
        root: The pipeline's root folder.
        forced: Runs it whatever is found.
    """
    if forced:
        return Decision(None, "--force")
    name = stage.stage_name()
    found = store.newest_execution(name, hash_ingredients(parts)) if store is not None else None
    if found is not None:
        reason = _damage(found, root) or _lost_effect(stage, found, root)
        return Decision(None if reason else found, reason)
    before = store.newest_execution(name) if store is not None else None
    if before is None:
        return Decision(None, FIRST_TIME)
    return Decision(None, difference(before.properties, parts) or "another fingerprint")


def damaged(execution: Execution) -> list[str]:
    """Keys of the outputs that are gone, or are not byte for byte what the execution wrote."""
    return [
        key
        for key, artifact in execution.outputs.items()
        if not artifact.path.is_dir() or digest_folder(artifact.path) != artifact.digest
    ]


def _damage(execution: Execution, root: Path) -> str:
    keys = damaged(execution)
    if not keys:
        return ""
    path = execution.outputs[keys[0]].path
    state = "has changed since it was written" if path.is_dir() else "is gone"
    return f"{keys[0]} ({path.relative_to(root)}) {state}"


def _lost_effect(stage: Stage, execution: Execution, root: Path) -> str:
    reusable = stage.reusable(paths_of(execution.outputs), root)
    return "" if reusable else "what it did outside its outputs is no longer so"


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Says what differs between the parts of two fingerprints, the likeliest cause first."""
    if not before:
        return "made by an older version of this program"
    changes = list(_changes(before, now))
    more = f", and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return "; ".join(changes[:_SHOWN]) + more


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    yield from _changed_values(before["settings"], now["settings"])
    for key in sorted({*before["inputs"], *now["inputs"]}):
        if before["inputs"].get(key) != now["inputs"].get(key):
            yield f"{key} is another"
    yield from _changed_values(before["environment"], now["environment"])
    old, new = before["code"], now["code"]
    modules = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if modules:
        yield f"code of {modules[0]}" + (f" and {len(modules) - 1} more" if len(modules) > 1 else "")
    if before["class"] != now["class"]:
        yield f"class {before['class']} → {now['class']}"


def _changed_values(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = flat(before), flat(now)
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            is_digest = _DIGEST.fullmatch(str(old.get(key))) and _DIGEST.fullmatch(str(new.get(key)))
            yield f"{key} is another" if is_digest else f"{key} {_shown(old, key)} → {_shown(new, key)}"


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} → {"a.b": 1}."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def _shown(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "nothing"
    text = json.dumps(values[key], ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
