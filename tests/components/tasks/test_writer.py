"""The Writer beside NumPy loops in float64, with each rule that ends a text and each way that the context goes in."""

import numpy as np
import pytest

from components.tasks.writer import Writer
from tests.testing import randomise, to_numpy

VOCABULARY, END, BANNED, LONGEST, UNITS, LAYERS = 7, 0, (1, 2), 6, 5, 2
RANDOM = np.random.default_rng(0)
CONTEXT = RANDOM.normal(size=(5, 4)).astype("float32")
WEIGHTS = np.array([1, 1, 1, 0, 1], "float32")  # the fourth row only fills up the batch
LENGTHS = np.array([3, 1, 4, 2, 4], "int32")
TARGET = np.where(np.arange(4) < LENGTHS[:, None], RANDOM.integers(3, VOCABULARY, (5, 4)), 0).astype("int32")

STOPS = ("end_token", "stop_head", "length_head")
ways = pytest.mark.parametrize("context", ["initial", "every", "both"])
rules = pytest.mark.parametrize("stop", STOPS)


def writer_of(stop, context):
    writer = Writer(
        VOCABULARY, END, BANNED, CONTEXT.shape[1], UNITS, LAYERS, 3, context=context, stop=stop, max_length=LONGEST
    )
    randomise(writer, seed=4, scale=1.0)
    return writer


class Reference:
    """The equations of one row: a token in, ln p of the next one and the head's output out."""

    def __init__(self, writer, c):
        self.weights = {weight.path: to_numpy(weight).astype("float64") for weight in writer.weights}
        self.stop, self.context, self.c = writer.stop, writer.context, c.astype("float64")
        self.states = [np.zeros(UNITS)] * LAYERS
        if self.context != "every":
            self.states = [np.tanh(self.affine(f"state_{layer}", self.c)) for layer in range(LAYERS)]

    def weight(self, *names):
        (path,) = (path for path in self.weights if set(names) <= set(path.split("/")))
        return self.weights[path]

    def affine(self, name, x):
        return x @ self.weight(name, "kernel") + self.weight(name, "bias")

    def read(self, token):
        """ln p of each token, and ln of the odds that the next one is the last."""
        x = self.weight("table")[token]
        for layer, state in enumerate(self.states):
            name = f"recurrent_{layer}"
            a = x @ self.weight(name, "kernel") + state @ self.weight(name, "recurrent_kernel")
            a += self.weight(name, "bias")
            if self.context != "initial":
                a += self.c @ self.weight(f"offset_{layer}", "kernel")
            self.states[layer] = x = np.tanh(a)
        logits = self.affine("readout", x)
        odds = self.affine("stop", x)[0] if self.stop == "stop_head" else None
        return logits - np.log(np.exp(logits).sum()), odds

    def log_length(self):
        return self.affine("length", self.c)[0]


def terms_of(reference, target):
    """What one text costs: -ln p of its tokens, and what the rule adds."""
    tokens, ends = [], []
    previous = END
    for place, token in enumerate(target, start=1):
        log_p, odds = reference.read(previous)
        tokens.append(-log_p[token])
        if odds is not None:
            s = 1 / (1 + np.exp(-odds))
            ends.append(-np.log(s if place == len(target) else 1 - s))
        previous = token
    if reference.stop == "end_token":
        tokens.append(-reference.read(previous)[0][END])
    if reference.stop == "length_head":
        ends.append((reference.log_length() - np.log(len(target))) ** 2)
    return tokens, ends


@rules
@ways
def test_loss_is_that_of_every_token_and_of_the_rule(stop, context):
    writer = writer_of(stop, context)

    total, count, positions = writer.loss_of(CONTEXT, TARGET, LENGTHS, WEIGHTS, training=False)

    rows = [
        terms_of(Reference(writer, c), target[:length])
        for c, target, length, weight in zip(CONTEXT, TARGET, LENGTHS, WEIGHTS, strict=True)
        if weight
    ]
    tokens, ends = (np.concatenate(terms) for terms in zip(*rows, strict=True))
    assert float(total) == pytest.approx(tokens.sum() + ends.sum(), rel=1e-5)
    assert float(count) == len(tokens)
    assert len(ends) == {"end_token": 0, "stop_head": LENGTHS @ WEIGHTS, "length_head": WEIGHTS.sum()}[stop]
    assert positions == TARGET.size + (len(TARGET) if stop == "end_token" else 0)
    assert ends.sum() > 0.05 * tokens.sum() or stop == "end_token"  # guard: what the rule costs is seen


def greedy(reference):
    """The most likely text, its ln p, and whether it ended by itself."""
    length = LONGEST
    if reference.stop == "length_head":
        length = int(np.clip(np.round(np.exp(reference.log_length())), 1, LONGEST))
    text, total, previous = [], 0.0, END
    for place in range(1, length + 1):
        log_p, odds = reference.read(previous)
        allowed = {k: log_p[k] for k in range(VOCABULARY) if k not in BANNED and (k != END or odds is None)}
        if reference.stop == "length_head":
            del allowed[END]
        previous = max(allowed, key=allowed.get)
        total += log_p[previous]
        if previous == END:
            return text, total, True
        text.append(previous)
        if odds is not None:
            s = 1 / (1 + np.exp(-odds))
            total += np.log(max(s, 1 - s))
            if s > 0.5:
                return text, total, True
        if reference.stop == "length_head" and place == length:
            return text, total, True
    return text, total, False


@rules
@ways
def test_writing_greedily_follows_the_equations_and_the_rule(stop, context):
    writer = writer_of(stop, context)

    written = writer.write(CONTEXT)

    tokens, lengths = to_numpy(written.tokens), to_numpy(written.lengths)
    expected = [greedy(Reference(writer, c)) for c in CONTEXT]
    assert [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)] == [e[0] for e in expected]
    np.testing.assert_allclose(written.log_prob, [e[1] for e in expected], rtol=1e-4)
    assert to_numpy(written.finished).tolist() == [e[2] for e in expected]
    assert len({len(e[0]) for e in expected}) > 1  # guard: they end in different places
