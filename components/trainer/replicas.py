"""How many devices share the rows of a batch."""

from __future__ import annotations

from typing import Literal


def count(devices: int | Literal["all"], available: int, batch_size: int, virtual: str) -> int:
    """How many replicas of the network train side by side.

    Args:
        devices: `trainer.devices`.
        available: Devices that there are.
        batch_size: Rows, of which each replica takes the same number.
        virtual: How to get more devices than there are, in words.

    Raises:
        ValueError: There are fewer devices, or the rows cannot be divided evenly.
    """
    replicas = available if devices == "all" else devices
    if replicas > available:
        raise ValueError(
            f"Trainer: trainer.devices must be at most {available}, the number that there is. Received: "
            f"trainer.devices={devices!r}. Lower it, or, for a trial, make virtual ones of a CPU: {virtual}."
        )
    if batch_size % replicas:
        received = f"trainer.devices={devices!r}" + (f" ({replicas} of them)" if devices == "all" else "")
        raise ValueError(
            "Trainer: the rows of a batch must be divided evenly among the devices. Received: "
            f"{received} for {batch_size} rows. Set trainer.devices to a divisor of {batch_size}, or choose another "
            "trainer.batch_size or transform.lanes."
        )
    return replicas
