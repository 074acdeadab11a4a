"""The requests in an export, sent as TensorFlow Serving sends them: to a process that imports only TensorFlow."""

import numpy as np


def requests_of(client, model):
    """Signature → [(inputs, answers)]."""
    found = {}
    for name, signature, sent, answers in client.ask("warm_up", str(model.saved_model)):
        assert name == "tiny"
        found.setdefault(signature, []).append((sent, answers))
    return found


def test_warmup_every_signature_is_asked_and_answers(client, full):
    found = requests_of(client, full)

    described = client.ask("describe", str(full.saved_model))
    assert set(found) == set(described)
    for signature, requests in found.items():
        assert set(requests[-1][0]) == set(described[signature][0])
        for sent, answers in requests:
            assert all(np.isfinite(value).all() for value in answers.values() if value.dtype.kind == "f")
            assert {len(value) for value in sent.values() if value.shape} <= {1}
    assert sum(map(len, found.values())) < 1000  # what TensorFlow Serving takes


def test_warmup_generating_signatures_are_asked_with_and_without_the_optional_inputs(client, full):
    found = requests_of(client, full)

    for signature in ("serving_default", "generate", "sample"):
        (short, _), (whole, answers) = found[signature]
        assert set(short) == {"prompt"}
        assert set(whole) - set(short) == set(client.ask("defaults", str(full.saved_model), signature))
        assert whole["max_length"].tolist() == [8]
        assert answers["text"][0].startswith(whole["prompt"][0])
    assert len(found["sample"][1][1]["text"]) == found["sample"][1][0]["samples"][0] == 2
