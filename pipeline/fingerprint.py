"""Fingerprints: what decides whether a stage has to run again (its code, settings, environment and input bytes)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.code import CACHE, code_digests
from pipeline.stage import Stage


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
        "code": code_digests(type(stage).__module__, cache=root / CACHE),
        "settings": stage.settings(),
        "environment": stage.environment(root),
        "inputs": dict(input_digests),
    }
