"""The baselines against dictionaries of counts, written from the formulas."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from components.evaluator.baselines import trigram_nats, unigram_nats
from tests.testing import stream_of

END, VOCABULARY = 1, 7


def random_stream(seed, lengths, tokens=(0, 2, 3, 4, 5, 6)):
    random = np.random.default_rng(seed)
    return stream_of([random.choice(tokens, length).tolist() for length in lengths], END)


def ngrams(stream):
    """(context of at most two tokens within the document, next token) of each prediction."""
    context = []
    for token, following in itertools.pairwise(stream):
        context = [END] if token == END else [*context, int(token)][-2:]
        yield tuple(context), int(following)


class SlowTrigram:
    """p(z | xy) from dictionaries. At the start of a document the context is `<end>`, or `<end>` twice over."""

    def __init__(self, train):
        self.unigrams, self.bigrams, self.trigrams = Counter(), defaultdict(Counter), defaultdict(Counter)
        for context, z in ngrams(train):
            self.unigrams[z] += 1
            self.bigrams[context[-1]][z] += 1
            self.trigrams[(END, END) if len(context) == 1 else context][z] += 1

    def unigram(self, z):
        return (self.unigrams[z] + 1) / (sum(self.unigrams.values()) + VOCABULARY)

    def trigram(self, context, z):
        context = (END, END) if len(context) == 1 else context
        p = self.unigram(z)
        for counts in (self.bigrams.get(context[-1], {}), self.trigrams.get(context, {})):
            seen, kinds = sum(counts.values()), len(counts)
            if seen:
                p = (counts.get(z, 0) + kinds * p) / (seen + kinds)
        return p


CASES = [
    (random_stream(0, [40, 0, 3, 25]), random_stream(1, [30, 1, 0, 8])),
    # Train has seen neither 5 nor 6: contexts and tokens that are new.
    (random_stream(2, [20, 20], tokens=(0, 2, 3, 4)), random_stream(3, [25, 10])),
    (random_stream(4, [0]), random_stream(5, [12])),
    (random_stream(6, [600] * 4).astype("uint8"), random_stream(7, [0, 0, 50]).astype("uint8")),
]


@pytest.mark.parametrize(("train", "held_out"), CASES)
def test_unigram_nats_equals_a_dictionary_of_counts(train, held_out):
    slow = SlowTrigram(train)

    expected = -np.mean([math.log(slow.unigram(z)) for _, z in ngrams(held_out)])

    assert unigram_nats(train, held_out, VOCABULARY) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("train", "held_out"), CASES)
def test_trigram_nats_equals_a_dictionary_of_counts(train, held_out):
    slow = SlowTrigram(train)

    expected = -np.mean([math.log(slow.trigram(context, z)) for context, z in ngrams(held_out)])

    assert trigram_nats(train, held_out, VOCABULARY, END) == pytest.approx(expected, rel=1e-12)


def trigram_probability(train, document, z):
    """p(z) after an unfinished document, from sums of nats alone."""
    before = np.asarray([END, *document])
    after = np.asarray([END, *document, z])
    total = trigram_nats(train, after, VOCABULARY, END) * (len(after) - 1)
    return math.exp((trigram_nats(train, before, VOCABULARY, END) * (len(before) - 1) if document else 0) - total)


@pytest.mark.parametrize("document", [[], [3], [3, 4], [6, 5], [3, 3, 3, 2]])
def test_trigram_probabilities_sum_to_one(document):
    train = random_stream(2, [20, 20], tokens=(0, 2, 3, 4))  # 5 and 6 are unseen contexts

    p = [trigram_probability(train, document, z) for z in range(VOCABULARY)]

    assert sum(p) == pytest.approx(1, rel=1e-9)
    assert min(p) > 0
    assert max(p) > min(p)


def test_trigram_nats_order_of_train_documents_makes_no_difference():
    first, second = [2, 3, 4, 2, 3], [5, 5, 6]
    held_out = stream_of([[2, 3, 5, 6], [5, 2]], END)

    nats = trigram_nats(stream_of([first, second], END), held_out, VOCABULARY, END)

    assert nats == pytest.approx(trigram_nats(stream_of([second, first], END), held_out, VOCABULARY, END), rel=1e-12)
    assert nats != pytest.approx(trigram_nats(stream_of([first[::-1], second], END), held_out, VOCABULARY, END))


def test_trigram_nats_context_does_not_cross_held_out_documents():
    train = random_stream(0, [40, 30])
    alone = [trigram_nats(train, stream_of([document], END), VOCABULARY, END) for document in ([2, 3], [4, 5])]

    together = trigram_nats(train, stream_of([[2, 3], [4, 5]], END), VOCABULARY, END)

    assert together == pytest.approx(np.mean(alone), rel=1e-12)


def test_trigram_nats_beats_unigram_where_order_tells():
    cycle = stream_of([[2, 3, 4] * 30], END)

    assert trigram_nats(cycle, cycle, VOCABULARY, END) < 0.3 * unigram_nats(cycle, cycle, VOCABULARY)
