"""What is read of the artifacts for the model card."""

import hashlib
import json

import numpy as np
import pytest

from components.exporter.stage import Exporter
from components.heavy_imports import import_quietly
from components.tasks import files
from pipeline.files import digest_folder


@pytest.fixture
def inputs(tmp_path, full):
    """The Exporter's inputs, where a run has them, each made by execution 1 of a stage of its own."""
    folders = {key: tmp_path / f"stage_of_{key}" / "1" / key for key in Exporter.inputs}
    for key, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / "something").write_text(key)
        record = {"stage": folder.parts[-3], "id": 1, "fingerprint": f"f-{key}", "inputs": {}, "outputs": {key: ""}}
        (folder.parent / "execution.json").write_text(json.dumps(record))
    files.save(full.model, folders["model"])
    full.tokenizer.save(folders["transform_graph"])
    (folders["model"] / "training.json").write_text('{"steps": 5, "best": 1.5}')
    (folders["transformed_examples"] / "manifest.json").write_text('{"splits": {"train": {"tokens": 9}}}')
    (folders["evaluation"] / "metrics.json").write_text('{"eval": {"nats": 1.0}}')
    (folders["examples"] / "Split-train").mkdir()
    np.save(folders["examples"] / "Split-train" / "digests.npy", np.arange(3, dtype="uint64"))
    return folders


@pytest.fixture
def gather():
    import_quietly("tensorflow")
    from components.exporter.facts import gather

    return gather


def test_gather_reads_every_artifact(gather, inputs, full):
    facts = gather("plays", full.model, inputs, full.saved_model)

    assert (facts.name, facts.task) == ("plays", "language_model")
    assert facts.parameters == sum(weight.size for weight in full.model.get_weights())
    assert facts.architecture["units"] == full.model.units
    assert facts.tokenizers["text"]["vocabulary"] == f"{len(full.tokenizer)} tokens"
    assert facts.training == {"steps": 5, "best": 1.5}
    assert facts.splits == {"train": {"tokens": 9}}
    hashes = (inputs["examples"] / "Split-train" / "digests.npy").read_bytes()
    assert facts.documents == {"train": hashlib.sha256(hashes).hexdigest()}
    assert facts.metrics == {"eval": {"nats": 1.0}}


def test_gather_names_the_executions_and_digests_of_the_inputs(gather, inputs, full):
    # Of a folder that was put beside a run's, the run's record does not speak.
    inputs["evaluation"].rename(inputs["evaluation"].with_name("mine"))
    inputs["evaluation"] = inputs["evaluation"].with_name("mine")

    facts = gather("plays", full.model, inputs, full.saved_model)

    assert {key: record["fingerprint"] for key, record in facts.executions.items()} == {
        key: f"f-{key}" for key in inputs if key != "evaluation"
    }
    assert facts.digests == {key: digest_folder(folder) for key, folder in inputs.items()}


def test_gather_tells_inputs_with_type_shape_and_default(gather, inputs, full):
    signatures = gather("plays", full.model, inputs, full.saved_model).signatures

    assert signatures["score"] == (
        {"text": "string [batch]"},
        {"log_prob": "float32 [batch]", "tokens": "int32 [batch]"},
    )
    assert signatures["generate"][0]["max_length"] == "int32 [batch] = 200"
    assert signatures["generate"][0]["prompt"] == "string [batch]"
    assert signatures["read"][0]["ids"] == "int32 [batch, any]"
    assert signatures["step"][0]["state_1"] == f"float32 [batch, {full.model.units}]"
