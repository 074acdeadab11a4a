"""Whether a checkpoint may be gone on with: its settings are those of now, but for the keys that may change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# They say when to stop, what to watch and what to do in trouble, not what an update is. (A new number of epochs moves
# the end of a cosine schedule, from here on. Another number of devices adds up in another order: equal to rounding.)
MAY_CHANGE = frozenset(
    {
        "trainer.devices",
        "trainer.epochs",
        "trainer.patience",
        "trainer.evaluate_every",
        "trainer.nan_policy",
        "trainer.bad_steps.in_a_row",
        "trainer.bad_steps.kick_norm",
        "trainer.bad_steps.rollback_factor",
        "trainer.bad_steps.rollbacks",
        "trainer.save_every_steps",
        "trainer.save_every_seconds",
        "trainer.keep_checkpoints",
        "trainer.diagnostics",
    }
)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """What differs between two nested settings: dotted key → `old → new`."""
    old, new = dict(_flat(before)), dict(_flat(now))
    absent = "(absent)"
    return {
        key: f"{old.get(key, absent)} → {new.get(key, absent)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key, absent) != new.get(key, absent)
    }


def check(before: Mapping[str, Any], now: Mapping[str, Any], step: int, folder: Path) -> str:
    """Compares the settings of a checkpoint with those of now.

    Returns:
        What has changed and may, as a text; "" when nothing has.

    Raises:
        ValueError: Something has changed that makes it another training.
    """
    different = changes(before, now)
    refused = {key: text for key, text in different.items() if key not in MAY_CHANGE}
    if refused:
        listed = "; ".join(f"{key}: {text}" for key, text in refused.items())
        raise ValueError(
            f"Trainer: a training that goes on must keep its settings. Received: {listed}, for the training that was "
            f"stopped at step {step}. Go on with the old settings, or begin anew: --force trainer, or delete {folder}."
        )
    return "; ".join(f"{key}: {text}" for key, text in different.items())


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
