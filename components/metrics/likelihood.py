"""The figures every likelihood is reported in. Light, so that a client of a served model needs no Keras for them."""

from __future__ import annotations

import math


def metrics(nats: float, tokens: int, characters: int) -> dict[str, float | int]:
    """nats and perplexity per token, bits per character, and the number of tokens.

    Args:
        nats: Mean of -ln p over the tokens.
        tokens: How many there were.
        characters: How many characters they were, the end of a document counted as one. Where a token is a character,
            it is the same number.
    """
    return {
        "nats": nats,
        "bits_per_char": nats * tokens / characters / math.log(2),
        # e^700 is near the largest float: a hopeless model gets a number, not an error.
        "perplexity": math.exp(min(nats, 700.0)),
        "tokens": tokens,
    }
