"""The figures every likelihood is reported in. Light, so that a client of a served model needs no Keras for them."""

from __future__ import annotations

import math


def metrics(nats: float, tokens: int) -> dict[str, float | int]:
    """nats, bits_per_char, perplexity and tokens.

    Args:
        nats: Mean of -ln p over the tokens.
        tokens: How many there were.
    """
    return {
        "nats": nats,
        "bits_per_char": nats / math.log(2),
        # e^700 is near the largest float: a hopeless model gets a number, not an error.
        "perplexity": math.exp(min(nats, 700.0)),
        "tokens": tokens,
    }
