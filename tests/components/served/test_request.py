"""Which values a request may have."""

import math

import pytest

from components.served.request import TextRequest

REFUSED = {
    "max_length": [-1, 2**31, 1.0, True, "3", None],
    "min_length": [-1, 2**31, math.nan],
    "top_k": [-1, 2**31, 0.5],
    "repetition_stop": [-1, 2**31, False],
    "seed": [2**63, -(2**63) - 1, 1.0, None],
    "temperature": [-0.1, math.nan, math.inf, -math.inf, 1e39, 10**400, True, "1"],
    "top_p": [0, 0.0, -1, 1.01, math.nan, math.inf, 10**400, True, None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_request_with_a_value_that_cannot_be_raises_naming_it(name, value):
    with pytest.raises(ValueError, match=rf"generate: {name} must .*Received: {name}="):
        TextRequest(**{name: value})


def test_request_with_the_outermost_values_is_taken():
    most = 2**31 - 1
    for seed in (-(2**63), 2**63 - 1):
        request = TextRequest("é", most, most, 1e38, most, 1, seed, most)
        assert request["seed"] == seed
    assert TextRequest(temperature=0)["temperature"] == 0


@pytest.mark.parametrize("prompt", [b"bytes", None, 3])
def test_request_prompt_that_is_no_text_raises(prompt):
    with pytest.raises(TypeError, match="generate: prompt must be text"):
        TextRequest(prompt)


def test_request_prompt_with_a_lone_surrogate_raises():
    with pytest.raises(ValueError, match="prompt must be Unicode without lone surrogates"):
        TextRequest("a\ud800")
