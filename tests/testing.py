"""What the component tests share: a language model and its gradient as NumPy loops in float64, and lanes on disk.

Nothing here uses the code that it is a reference for. Weights are lists in the order of `get_weights`:
kernel U, recurrent_kernel W and bias b of each layer, then V and c of the readout.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from components.documents import DocumentWriter
from components.tasks.language_model import LanguageModel
from components.transform.lanes import SplitLayout
from components.transform.manifest import FeatureInfo, Manifest, SplitManifest
from components.transform.reader import Window
from components.transform.records import LaneWriter, lane_file, token_dtype
from components.transform.shards import ShardSpec, write_shard

Array = np.ndarray


def to_numpy(value: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(value))


# ---- Models ---------------------------------------------------------------------------------------------------------


def random_model(
    vocabulary_size: int = 6, units: int = 5, layers: int = 2, seed: int = 0, scale: float = 0.6, **arguments: Any
) -> LanguageModel:
    """A model with random weights, biases included, so that no term of an equation can go missing unnoticed."""
    model = LanguageModel(vocabulary_size, units, layers, **arguments)
    randomise(model, seed, scale)
    return model


def randomise(layer: keras.Layer, seed: int = 0, scale: float = 0.6) -> None:
    """Gives a layer or model random weights, biases included."""
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(size=weight.shape, scale=scale) for weight in layer.get_weights()])


def random_states(model: LanguageModel, batch: int, seed: int = 1) -> list[Array]:
    """A non-zero state [batch, units] for each layer."""
    random = np.random.default_rng(seed)
    return [random.uniform(-0.9, 0.9, (batch, model.units)).astype("float32") for _ in range(model.num_layers)]


def random_window(
    batch: int, length: int, vocabulary_size: int, seed: int = 2, *, end: int = 0, weights: bool = True
) -> Window:
    """A window with resets in the middle and, if `weights`, positions of weight 0."""
    random = np.random.default_rng(seed)
    tokens = random.integers(0, vocabulary_size, (batch, length + 1)).astype("int32")
    tokens[0, length // 2] = end
    counted = np.ones((batch, length), "float32")
    if weights:
        counted[1, -2:] = 0
    return Window(tokens[:, :-1], tokens[:, 1:], tokens[:, :-1] == end, counted)


# ---- The equations, step by step ------------------------------------------------------------------------------------


def forward(
    weights: Sequence[Array], tokens: Array, states: Sequence[Array], reset: Array | None = None
) -> tuple[Array, list[Array]]:
    """Logits [batch, timesteps, vocabulary] and final states, in float64."""
    logits, states, _ = _forward(weights, tokens, states, reset)
    return logits, states


def _forward(weights: Sequence[Array], tokens: Array, states: Sequence[Array], reset: Array | None) -> Any:
    layers, (v, c) = _split(weights)
    batch, timesteps = tokens.shape
    states = [np.asarray(state, np.float64) for state in states]
    logits, trace = [], []
    for t in range(timesteps):
        x = np.eye(len(c))[tokens[:, t]]
        steps = []
        for layer, (u, w, b) in enumerate(layers):
            kept = np.ones((batch, 1)) if reset is None else 1.0 - reset[:, t, None]
            before = states[layer] * kept
            after = np.tanh(x @ u + before @ w + b)
            steps.append((x, before, after, kept))
            states[layer] = x = after
        logits.append(x @ v + c)
        trace.append(steps)
    return np.stack(logits, axis=1), states, trace


def negative_log_likelihood(logits: Array, targets: Array) -> Array:
    """-ln softmax(logits)[target], [batch, timesteps]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_p, targets[..., None].astype(int), axis=-1)[..., 0]


def back_propagation(
    weights: Sequence[Array], window: Window, states: Sequence[Array]
) -> tuple[float, list[Array], list[Array]]:
    """Sum of the weighted nats, the gradient of their mean over all positions, and the final states.

    The states that go in are constants: no gradient flows into what came before.
    """
    layers, (v, c) = _split(weights)
    logits, final_states, trace = _forward(weights, window.inputs, states, window.reset)
    nats = float((negative_log_likelihood(logits, window.targets) * window.weights).sum())

    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    d_logits = (p - np.eye(len(c))[window.targets]) * window.weights[..., None] / window.weights.size
    gradients = [[np.zeros_like(weight) for weight in layer] for layer in layers]
    d_v, d_c = np.zeros_like(v), np.zeros_like(c)
    d_states = [np.zeros_like(state) for state in final_states]
    for t in reversed(range(len(trace))):
        top = trace[t][-1][2]
        d_v += top.T @ d_logits[:, t]
        d_c += d_logits[:, t].sum(axis=0)
        d_hidden = d_logits[:, t] @ v.T
        for layer in reversed(range(len(layers))):
            u, w, _ = layers[layer]
            x, before, after, kept = trace[t][layer]
            d_a = (d_hidden + d_states[layer]) * (1 - after**2)
            for gradient, part in zip(gradients[layer], (x.T @ d_a, before.T @ d_a, d_a.sum(axis=0)), strict=True):
                gradient += part
            d_states[layer] = (d_a @ w.T) * kept
            d_hidden = d_a @ u.T
    return nats, [gradient for layer in gradients for gradient in layer] + [d_v, d_c], final_states


def hidden_states(
    weights: Sequence[Array],
    tokens: Array,
    states: Sequence[Array],
    reset: Array | None = None,
    disturbed: tuple[int, int, int, float] | None = None,
) -> tuple[Array, Array]:
    """h_t of every layer [layers, batch, timesteps, units], and the logits, in float64.

    Args:
        disturbed: (layer, timestep, unit, what is added to h there, for all that read it).
    """
    layers, (v, c) = _split(weights)
    carried = [np.asarray(state, np.float64) for state in states]
    found, logits = [], []
    for t in range(tokens.shape[1]):
        x = np.eye(len(c))[tokens[:, t]]
        for layer, (u, w, b) in enumerate(layers):
            kept = 1.0 if reset is None else 1.0 - reset[:, t, None]
            x = np.tanh(x @ u + (carried[layer] * kept) @ w + b)
            if disturbed is not None and disturbed[:2] == (layer, t):
                x = x + disturbed[3] * np.eye(x.shape[1])[disturbed[2]]
            carried[layer] = x
        found.append(np.stack(carried))
        logits.append(x @ v + c)
    return np.stack(found, axis=2), np.stack(logits, axis=1)


def numeric_state_gradients(
    weights: Sequence[Array], window: Window, states: Sequence[Array], counted: Array, epsilon: float = 1e-6
) -> Array:
    """dL/dh_t [layers, batch, timesteps, units] by central differences; L: the row's nats weighted by `counted`."""

    def losses(*disturbed: Any) -> Array:
        _, logits = hidden_states(weights, window.inputs, states, window.reset, disturbed)
        return (negative_log_likelihood(logits, window.targets) * counted).sum(axis=1)

    layers, (batch, timesteps), units = len(states), window.inputs.shape, states[0].shape[1]
    gradients = np.zeros((layers, batch, timesteps, units))
    for layer, t, unit in np.ndindex(layers, timesteps, units):
        above, below = (losses(layer, t, unit, step) for step in (epsilon, -epsilon))
        gradients[layer, :, t, unit] = (above - below) / (2 * epsilon)
    return gradients


def _split(weights: Sequence[Array]) -> tuple[list[Sequence[Array]], Sequence[Array]]:
    exact = [np.asarray(weight, np.float64) for weight in weights]
    return [exact[i : i + 3] for i in range(0, len(exact) - 2, 3)], exact[-2:]


# ---- Streams and lanes ----------------------------------------------------------------------------------------------


def stream_of(documents: Sequence[Sequence[int]], end: int = 0) -> Array:
    """Token stream `<end> c1 … cn <end> … <end>`."""
    tokens = [token for document in documents for token in (end, *document)]
    return np.asarray([*tokens, end], np.int32)


def document_nats(weights: Sequence[Array], document: Sequence[int], end: int = 0) -> float:
    """-ln p of a document as a whole, its closing `<end>` included, read on its own from a zero state."""
    tokens = stream_of([document], end)
    units = weights[1].shape[0]
    states = [np.zeros((1, units)) for _ in range((len(weights) - 2) // 3)]
    logits, _ = forward(weights, tokens[None, :-1], states)
    return float(negative_log_likelihood(logits, tokens[None, 1:]).sum())


def write_lanes(
    folder: Path, splits: Mapping[str, tuple[Array, int]], window_length: int, vocabulary_size: int
) -> Path:
    """Writes transformed examples: split → (token stream, number of lanes)."""
    dtype = token_dtype(vocabulary_size)
    manifests = {}
    for split, (stream, lanes) in splits.items():
        layout = SplitLayout(len(stream) - 1, lanes, window_length)
        manifests[split] = SplitManifest.of(layout, documents=1, characters=len(stream) - 2, unknown=0)
        (folder / f"Split-{split}").mkdir(parents=True)
        for lane in range(lanes):
            start, stop = layout.lane_range(lane)
            path = folder / f"Split-{split}" / lane_file(lane, lanes)
            with LaneWriter(path, window_length, layout.windows, dtype) as writer:
                writer.write(stream[start : stop + 1])
    Manifest(vocabulary_size, window_length, dtype.name, manifests).save(folder)
    return folder


def write_examples(
    folder: Path,
    features: Mapping[str, FeatureInfo],
    splits: Mapping[str, Sequence[Mapping[str, Any]]],
    shards: int = 1,
) -> Path:
    """Writes transformed examples: split → the numbers of each feature of each document, and its `fields` if it
    has any; ids are `SPLIT-NUMBER`.
    """
    dtypes = {name: info.stored for name, info in features.items()}
    counts = {}
    for split, examples in splits.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        borders = [len(examples) * shard // shards for shard in range(shards + 1)]
        for shard in range(shards):
            first, stop = borders[shard : shard + 2]
            spec = ShardSpec(split, shard, shards, first, stop, line=0)
            numbers = ({name: np.asarray(row[name]) for name in features} for row in examples[first:stop])
            write_shard(spec, dtypes, numbers, folder / f"Split-{split}")
        known = [{"id": f"{split}-{i}", **row.get("fields", {})} for i, row in enumerate(examples)]
        lines = "".join(json.dumps(fields) + "\n" for fields in known)
        (folder / f"Split-{split}" / "documents.jsonl").write_text(lines, encoding="utf-8")
        tokens = sum(len(row.get("tokens", ())) for row in examples)
        counts[split] = SplitManifest.of_examples(len(examples), characters=tokens, tokens=tokens, unknown=0)
    size = features["tokens"].size if "tokens" in features else 0
    Manifest(size or 0, 1, token_dtype(size or 0).name, counts, "examples", dict(features)).save(folder)
    return folder


def write_documents(folder: Path, splits: Mapping[str, Sequence[str]], **fields: Mapping[str, Sequence[Any]]) -> Path:
    """Writes an Examples artifact: split → texts; ids are `SPLIT-NUMBER`; further fields by name: split → values."""
    for split, texts in splits.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        with DocumentWriter(folder / f"Split-{split}") as writer:
            for i, text in enumerate(texts):
                known = {name: values[split][i] for name, values in fields.items()}
                writer.write(text.encode(), len(text), {"id": f"{split}-{i}", **known})
    return folder
