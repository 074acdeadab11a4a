"""What the measures mean, in sentences for people, with what to try."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.trainer.diagnostics.activity import SATURATED
from components.trainer.diagnostics.curves import GOALS, goal_of, series

# From these on a measure is spoken of as trouble.
_GROWTH = 10.0  # influence against that at lag 0
_OFTEN_SATURATED = 0.25
_DEAD = 0.05
_CLIPPED = 0.5
_WORSE = 0.01  # of the best eval bits per character

_SATURATION = {"tanh": "|h| > 0.99", "sigmoid": "h < 0.01 or h > 0.99", "hard_sigmoid": "h at 0 or 1"}


def sentences(measures: Mapping[str, Any]) -> list[str]:
    """What one diagnostic entry of the history says, the most important things first.

    Args:
        measures: As `measure.measurer` returns them, or as they are read back from JSON.
    """
    layers = list(enumerate(measures["layers"], start=1))
    broken = [number for number, layer in layers if _is_broken(layer, measures["rows"])]
    if broken:
        return [
            f"Weights or gradients of {_layers(broken)} are not finite: nothing can be measured. Go back to an earlier "
            "checkpoint, lower trainer.optimizer.learning_rate and set trainer.optimizer.global_clipnorm."
        ]
    trouble = [sentence for number, layer in layers for sentence in _trouble(number, layer, measures["activation"])]
    reach = [_reach(number, layer, _longest_lag(measures["rows"])) for number, layer in layers]
    spectra = [sentence for number, layer in layers for sentence in _spectrum(number, layer, measures["activation"])]
    fine = [] if trouble else [_fine(measures["activation"])]
    return [*trouble, *reach, *_advice(measures), *spectra, *fine]


def about_training(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the history as a whole says: steps that were clipped, or not finite, and whether eval got worse again."""
    found = []
    clipped = [value for _, value in series(history, "clipped")]
    if clipped and sum(clipped) > _CLIPPED * len(clipped):
        found.append(
            f"{_percent(sum(clipped) / len(clipped))} of the steps were clipped: trainer.optimizer.global_clipnorm, "
            "not the gradient, decides how far most updates go. That is safe; if training is slow, raise it."
        )
    events = [entry["event"] for entry in history if "event" in entry]
    if events:
        causes = ", ".join(f"{sum(e['cause'] == c for e in events)} by their {c}" for c in _distinct(events, "cause"))
        actions = ", ".join(_distinct(events, "action"))
        found.append(
            f"{len(events)} {'step was' if len(events) == 1 else 'steps were'} not finite ({causes}; what followed: "
            f"{actions}). Lower trainer.optimizer.learning_rate, or clip more with trainer.optimizer.global_clipnorm."
        )
    goal = goal_of(history)
    evaluations = series(history, "eval", goal)
    if evaluations:
        (best_step, best), (_, last) = min(evaluations, key=lambda pair: pair[1]), evaluations[-1]
        if last > best * (1 + _WORSE):
            found.append(
                f"Eval was best at step {best_step:,} ({best:.4f} {GOALS[goal]}) and has risen to {last:.4f} "
                "since: the network learns train by heart. Stop there (trainer.patience), use dropout, or fewer units."
            )
    return found


def _distinct(events: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(event[key] for event in events))


def _is_broken(layer: Mapping[str, Any], rows: Sequence[int]) -> bool:
    measured = [influence for influence, count in zip(layer["influence"], rows, strict=True) if count]
    return None in measured or layer["spectral_radius"] is None or layer["mean"] is None


def _trouble(number: int, layer: Mapping[str, Any], activation: str) -> Iterator[str]:
    influence = [value for value in layer["influence"] if value is not None]
    if influence and influence[0] == 0:
        yield (
            f"No gradient reaches layer {number}: it has stopped learning. Lower trainer.optimizer.learning_rate and "
            "start again, or use model.activation: tanh."
        )
    elif influence and max(influence) > _GROWTH * influence[0]:
        peak = influence.index(max(influence))
        yield (
            f"Gradients explode in layer {number}: influence at lag {peak} is {_times(max(influence) / influence[0])} "
            "that at lag 0. Clip them (trainer.optimizer.global_clipnorm: 1), or lower the learning rate."
        )
    if activation in _SATURATION and layer["saturated"] > _OFTEN_SATURATED:
        yield (
            f"{_percent(layer['saturated'])} of the states of layer {number} are saturated ({activation}: "
            f"{_SATURATION[activation]}) and let next to no gradient through. Lower trainer.optimizer.learning_rate, "
            "or add trainer.optimizer.weight_decay."
        )
    if layer["dead"] is not None and layer["dead"] > _DEAD:
        yield (
            f"{_percent(layer['dead'])} of the units of layer {number} are dead: 0 at every position measured, so that "
            "they cannot learn. Lower trainer.optimizer.learning_rate, and train from the beginning."
        )


def _fine(activation: str) -> str:
    if activation in SATURATED:
        return "Gradients do not explode, and units are neither saturated nor dead."
    return f"Gradients do not explode. Whether units are saturated is not known of {activation}."


def _reach(number: int, layer: Mapping[str, Any], longest: int) -> str:
    length, half_life = layer["memory_length"], layer["half_life"]
    if length == 0:
        return f"Layer {number} has no influence on the loss."
    falls = (
        f"falls by half every {_steps(half_life)} steps"
        if half_life is not None and half_life < 10 * longest
        else "hardly falls"
    )
    if length is None:
        return (
            f"Layer {number}: influence on the loss {falls} and is still above 1 % of its beginning at lag {longest}, "
            "the longest measured."
        )
    return (
        f"Layer {number}: influence on the loss {falls} and stays under 1 % of its beginning from lag {length} on: "
        "what lies further back teaches it next to nothing."
    )


def _advice(measures: Mapping[str, Any]) -> Iterator[str]:
    """What to try when no layer remembers as long as was measured."""
    lengths = [layer["memory_length"] for layer in measures["layers"]]
    if None in lengths or max(lengths) == 0:
        return
    irnn = "an IRNN (model.recurrent_initializer: identity with model.activation: relu), "
    yield (
        f"Dependencies beyond {max(lengths)} steps are out of reach. If the task has longer ones, try "
        f"{'' if measures['activation'] == 'relu' else irnn}"
        "trainer.vanishing_penalty, or a longer trainer.truncation_length if it is shorter than that."
    )


def _spectrum(number: int, layer: Mapping[str, Any], activation: str) -> Iterator[str]:
    radius, largest = layer["spectral_radius"], layer["largest_singular_value"]
    if activation in ("tanh", "relu", "linear") and largest < 1:
        yield (
            f"No vector keeps its length under W of layer {number} (largest singular value {largest:.3g}): gradients "
            "have to vanish, whatever the text."
        )
    elif radius < 1 and activation in ("tanh", "relu", "linear"):
        lifetime = math.log(0.5) / math.log(radius) if radius > 0 else 0.0
        yield (
            f"W of layer {number} has the spectral radius {radius:.3g}: what goes round in it alone falls by half "
            f"every {_steps(lifetime)} steps or sooner."
        )


def _longest_lag(rows: Sequence[int]) -> int:
    return max((lag for lag, count in enumerate(rows) if count), default=0)


def _layers(numbers: Sequence[int]) -> str:
    return f"layer{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _steps(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _times(factor: float) -> str:
    return f"{factor:,.0f} times" if factor < 1e4 else f"{factor:.1e} times"
