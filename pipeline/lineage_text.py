"""Lineage as text, as JSON and as a Mermaid graph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.console import moment
from pipeline.decision import flat
from pipeline.lineage import Lineage
from pipeline.metadata import Execution, StoredArtifact

_DIGITS = 12  # of a digest, on the screen


def as_text(lineage: Lineage) -> str:
    """What made it, oldest first; itself; what it was used in; the settings and libraries that it depends on."""
    artifact, root = lineage.artifact, lineage.root
    lines = [f"{artifact.type} {_place(artifact.path, root)}, sha256 {artifact.digest}", ""]
    if lineage.before:
        lines += ["made from", *_executions(lineage, lineage.before), ""]
    lines += ["made by", *_executions(lineage, [lineage.maker]), ""]
    lines += ["used by", *_executions(lineage, lineage.after)] if lineage.after else ["used by nothing yet"]
    lines += ["", "settings that it depends on"]
    lines += [f"  {key}: {value}" for key, value in settings(lineage).items() if value is not None]
    libraries = lineage.maker.properties.get("libraries", {})
    lines += ["", "libraries", "  " + ", ".join(f"{name} {version}" for name, version in libraries.items())]
    return "\n".join(lines)


def settings(lineage: Lineage) -> dict[str, Any]:
    """Each key that the artifact depends on, with its value."""
    found: dict[str, Any] = {}
    for step in (*lineage.before, lineage.maker):
        found |= flat(step.properties.get("settings", {}))
    return dict(sorted(found.items()))


def as_json(lineage: Lineage) -> str:
    """An object in ML Metadata's words: the artifact, what made it, what it was made from and used by, oldest first."""
    root = lineage.root
    values = {
        "root": str(root),
        "artifact": _artifact_json(lineage.artifact, root),
        "made_by": _execution_json(lineage.maker, lineage),
        "made_from": [_execution_json(one, lineage) for one in lineage.before],
        "used_by": [_execution_json(one, lineage) for one in lineage.after],
    }
    return json.dumps(values, ensure_ascii=False)


def as_mermaid(lineage: Lineage) -> str:
    """A flowchart: executions are boxes, artifacts round; the artifact asked for is thick."""
    steps = (*lineage.before, lineage.maker, *lineage.after)
    numbers: dict[Path, int] = {}
    lines = ["flowchart LR"]
    for step in steps:
        lines.append(f'  e{step.id}["{step.stage} {step.id}"]')
        for arrow, side in (("in", step.inputs), ("out", step.outputs)):
            for key, artifact in side.items():
                if artifact.path not in numbers:
                    numbers[artifact.path] = len(numbers)
                    lines.append(f'  a{numbers[artifact.path]}(["{key}<br/>{artifact.digest[:_DIGITS]}"])')
                name = f"a{numbers[artifact.path]}"
                lines.append(f"  {name} --> e{step.id}" if arrow == "in" else f"  e{step.id} --> {name}")
    lines.append(f"  style a{numbers[lineage.artifact.path]} stroke-width:4px")
    return "\n".join(lines)


def _executions(lineage: Lineage, executions: Iterable[Execution]) -> Iterator[str]:
    for one in executions:
        corpus = one.properties.get("environment", {}).get("corpus")
        digests = {"code": code_digest(one), "corpus": corpus}
        told = "".join(f", {name} {digest[:_DIGITS]}" for name, digest in digests.items() if digest)
        runs = ", ".join(map(str, lineage.runs.get(one.id, ())))
        yield f"  {one.stage} {one.id}, {moment(one.started)}, {one.seconds:.1f} s, in run {runs}{told}"
        for arrow, side in (("←", one.inputs), ("→", one.outputs)):
            for key, artifact in side.items():
                gone = "" if artifact.path.is_dir() else " (removed)"
                yield f"    {arrow} {key:<21} {artifact.digest[:_DIGITS]} {_place(artifact.path, lineage.root)}{gone}"


def code_digest(execution: Execution) -> str:
    """SHA-256 of all code that the stage reached; empty if it was not recorded."""
    code = execution.properties.get("code")
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest() if code else ""


def _place(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _artifact_json(artifact: StoredArtifact, root: Path) -> dict[str, Any]:
    return {
        "type": artifact.type,
        "uri": _place(artifact.path, root),
        "sha256": artifact.digest,
        "exists": artifact.path.is_dir(),
    }


def _execution_json(execution: Execution, lineage: Lineage) -> dict[str, Any]:
    def side(artifacts: Mapping[str, StoredArtifact]) -> dict[str, Any]:
        return {key: _artifact_json(artifact, lineage.root) for key, artifact in artifacts.items()}

    properties = {key: value for key, value in execution.properties.items() if key not in ("inputs", "stage")}
    return {
        "execution": execution.id,
        "type": execution.stage,
        "contexts": [f"run {run}" for run in lineage.runs.get(execution.id, ())],
        "started": execution.started,
        "seconds": execution.seconds,
        "fingerprint": execution.fingerprint,
        "properties": {**properties, "code": code_digest(execution)},
        "inputs": side(execution.inputs),
        "outputs": side(execution.outputs),
    }
