"""The history as a TensorBoard event file: written whole from the history, so that there are no gaps and no doubles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from components.trainer.diagnostics.curves import Entry, measured, series

# TensorBoard takes for event files those with "tfevents" in their name.
FILE_NAME = "events.out.tfevents.history"

_OF_LAYERS = (
    *("spectral_radius", "largest_singular_value", "memory_length", "half_life", "factor"),
    *("saturated", "dead", "mean", "std", "norm"),
)
# Tag → where in an entry the number is.
_SCALARS = {
    "train/nats": ("nats",),
    "train/bits_per_char": ("bits_per_char",),
    "train/loss": ("loss",),
    "train/gradient_norm": ("gradient_norm",),
    "train/clip_rate": ("clipped",),
    "train/learning_rate": ("learning_rate",),
}


def write_events(history: Sequence[Entry], folder: Path) -> Path:
    """Writes, or writes anew, the event file of a training; the same history gives the same bytes.

    Args:
        history: Entries, oldest first.
        folder: Made when missing; what TensorBoard is pointed to.

    Returns:
        The file. An event's wall time is the entry's `seconds`, counted from 1970.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    temporary = path.with_name("unfinished")
    with temporary.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(file_version="brain.Event:2").SerializeToString(deterministic=True))
        for event in _events(history):
            writer.write(event.SerializeToString(deterministic=True))
    return temporary.replace(path)


def _events(history: Sequence[Entry]) -> Iterator[Event]:
    """In the order of the steps, as TensorBoard takes a step that goes back for a training that was started again."""
    times = dict(series(history, "seconds"))
    values = [(step, _scalar(tag, number)) for tag, numbers in _scalars(history).items() for step, number in numbers]
    values += [(step, _histogram(tag, buckets)) for step, tag, buckets in _histograms(history)]
    seconds = 0.0
    for step, value in sorted(values, key=lambda pair: (pair[0], pair[1].tag)):
        seconds = times.get(step, seconds)
        yield Event(wall_time=seconds, step=step, summary=Summary(value=[value]))


def _scalars(history: Sequence[Entry]) -> dict[str, list[tuple[int, float]]]:
    paths: dict[str, tuple[str | int, ...]] = dict(_SCALARS)
    for name in dict.fromkeys(name for entry in history for name in entry.get("eval") or {}):
        paths[f"eval/{name}"] = ("eval", name)
    for _, measures in measured(history):
        for layer in range(len(measures["layers"])):
            for name in _OF_LAYERS:
                paths[f"layer_{layer + 1}/{name}"] = ("diagnostics", "layers", layer, name)
        for name in measures.get("update_ratios", {}):
            paths[f"update_ratio/{name}"] = ("diagnostics", "update_ratios", name)
    curves = {tag: series(history, *path) for tag, path in paths.items()}
    bad = [entry["step"] for entry in history if "event" in entry]
    curves["train/bad_steps"] = [(step, float(sum(other <= step for other in bad))) for step in sorted(set(bad))]
    return curves


def _histograms(history: Sequence[Entry]) -> Iterator[tuple[int, str, np.ndarray]]:
    """(step, tag, buckets [bins, 3] of left edge, right edge and share)."""
    for step, measures in measured(history):
        for number, layer in enumerate(measures["layers"], start=1):
            histogram = layer["histogram"]
            if histogram is not None:
                edges = np.linspace(histogram["low"], histogram["high"], len(histogram["shares"]) + 1)
                yield step, f"layer_{number}/h", np.stack([edges[:-1], edges[1:], histogram["shares"]], axis=1)


def _scalar(tag: str, number: float) -> Summary.Value:
    metadata = scalar_metadata.create_summary_metadata(display_name=None, description=None)
    return Summary.Value(tag=tag, metadata=metadata, tensor=make_tensor_proto(np.float32(number)))


def _histogram(tag: str, buckets: np.ndarray) -> Summary.Value:
    metadata = histogram_metadata.create_summary_metadata(display_name=None, description=None)
    return Summary.Value(tag=tag, metadata=metadata, tensor=make_tensor_proto(buckets))
