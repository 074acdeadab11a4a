"""What is said of a network that forgets, remembers, explodes, saturates, dies, or is fine."""

import pytest

from components.trainer.diagnostics.sentences import about_training, sentences
from tests.histories import evaluation, layer, measures, step, whole

FINE = "Gradients do not explode, and units are neither saturated nor dead."


def test_sentences_of_a_forgetful_network_say_how_far_it_reaches_and_what_to_try():
    said = sentences(measures(layer(decay=0.5), layer(decay=0.8)))

    assert said[0].startswith("Layer 1: influence on the loss falls by half every 1.0 steps and stays under 1 %")
    assert "from lag 7 on" in said[0]
    assert "from lag 21 on" in said[1]
    assert said[2].startswith("Dependencies beyond 21 steps are out of reach.")
    assert "model.recurrent_initializer: identity with model.activation: relu" in said[2]
    assert said[-1] == FINE


def test_sentences_of_a_network_that_remembers_all_that_was_measured_advise_nothing():
    said = sentences(measures(layer(decay=0.5), layer(decay=0.99)))

    assert "still above 1 % of its beginning at lag 40, the longest measured" in said[1]
    assert not any("out of reach" in sentence for sentence in said)


def test_sentences_of_a_relu_network_do_not_advise_relu():
    said = sentences(measures(layer(dead=0.0, saturated=0.5), activation="relu"))

    assert any("trainer.vanishing_penalty" in sentence for sentence in said)
    assert not any("IRNN" in sentence for sentence in said)
    assert said[-1] == FINE  # half of the states of relu units being 0 is how it should be


def test_sentences_of_exploding_gradients_open_with_them():
    said = sentences(measures(layer(decay=1.2)))

    assert said[0].startswith("Gradients explode in layer 1: influence at lag 40 is 1,470 times that at lag 0.")
    assert "global_clipnorm" in said[0]
    assert FINE not in said


@pytest.mark.parametrize(
    ("changed", "activation", "sentence"),
    [
        ({"saturated": 0.4}, "tanh", "40 % of the states of layer 1 are saturated (tanh: |h| > 0.99)"),
        ({"saturated": 0.3}, "sigmoid", "30 % of the states of layer 1 are saturated (sigmoid: h < 0.01 or h > 0.99)"),
        ({"dead": 0.17}, "relu", "17 % of the units of layer 1 are dead"),
        (
            {"influence": [0.0] * 41, "memory_length": 0, "factor": None, "half_life": None},
            "relu",
            "No gradient reaches",
        ),
        ({"spectral_radius": 0.8}, "tanh", "spectral radius 0.8: what goes round in it alone falls by half every 3.1"),
        ({"spectral_radius": 0.8, "largest_singular_value": 0.9}, "tanh", "No vector keeps its length under W"),
    ],
)
def test_sentences_name_what_is_wrong(changed, activation, sentence):
    assert any(sentence in said for said in sentences(measures(layer(**changed), activation=activation)))
    assert not any(sentence in said for said in sentences(measures(layer(), activation="tanh")))  # guard


@pytest.mark.parametrize(
    "changed",
    [{"influence": [1.0, None] + [0.1] * 39}, {"spectral_radius": None}, {"mean": None, "saturated": None}],
)
def test_sentences_of_what_is_not_finite_are_that_alone(changed):
    said = sentences(measures(layer(), layer(**changed)))

    assert len(said) == 1
    assert said[0].startswith("Weights or gradients of layer 2 are not finite")


def test_sentences_know_a_lag_that_no_row_reaches_from_one_that_is_not_finite():
    some = measures(layer(influence=[1.0, 0.9] + [None] * 39, memory_length=None, factor=0.9, half_life=6.6))
    some["rows"] = [8, 2] + [0] * 39

    assert "still above 1 % of its beginning at lag 1, the longest measured" in sentences(some)[0]


def test_sentences_of_an_activation_they_know_nothing_of_claim_nothing():
    said = sentences(measures(*[layer(saturated=None) for _ in range(4)], activation="elu"))

    assert len(said) == 4 + 1 + 1
    assert said[-1] == "Gradients do not explode. Whether units are saturated is not known of elu."


def test_about_training_says_when_most_steps_were_clipped():
    history = [step(10, clipped=0.9), step(20, clipped=0.7)]

    assert about_training(history)[0].startswith("80 % of the steps were clipped")
    assert about_training([step(10, clipped=0.1), step(20)]) == []


def test_about_training_counts_the_bad_steps():
    (said,) = about_training(whole())

    assert "2 steps were not finite (1 by their gradient, 1 by their loss; what followed: skip, rollback)" in said


def test_about_training_says_when_eval_got_worse_again():
    history = [evaluation(100, 2.5), evaluation(200, 2.25), evaluation(300, 2.4, best=False)]

    assert about_training(history)[0].startswith("Eval was best at step 200 (2.2500 bits per character) and has risen")
    assert about_training(history[:2]) == []


def test_about_training_of_nothing_says_nothing():
    assert about_training([]) == []
