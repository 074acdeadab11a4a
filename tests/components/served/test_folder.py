"""Which folder is a model's, and what it has."""

import pytest

from components.served import folder
from components.tasks.catalogue import EXAMPLE_TASKS
from pipeline.errors import UsageError


def make_version(path):
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"graph")


def test_version_folder_takes_the_newest_integer(tmp_path):
    for name in ("2", "9", "10", "99x", ".incoming-3"):
        make_version(tmp_path / name)
    (tmp_path / "11").mkdir()  # holds no model

    assert folder.version_folder(tmp_path) == tmp_path / "10"


def test_version_folder_of_a_version_is_itself(tmp_path):
    make_version(tmp_path / "1")

    assert folder.version_folder(tmp_path / "1") == tmp_path / "1"


def test_version_folder_without_a_model_raises_naming_it(tmp_path):
    with pytest.raises(UsageError, match=rf"--model must be .*{tmp_path.name}.*holds no saved_model\.pb"):
        folder.version_folder(tmp_path)


def test_version_folder_that_does_not_exist_raises_naming_it(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere, which is no folder"):
        folder.version_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(("signature", "task"), [("tag", "tagging"), ("predict", "regression_sequence")])
def test_language_signatures_of_another_task_are_refused_naming_it(monkeypatch, tmp_path, signature, task):
    monkeypatch.setattr(folder, "load_signatures", lambda model: {"serving_default": None, signature: None})

    with pytest.raises(UsageError, match=f"with the signature 'read'.*of the task {task}, whose.* is '{signature}'"):
        folder.language_signatures(tmp_path, "read", "write")


def test_language_signatures_of_a_model_that_lacks_one_are_refused_naming_it(monkeypatch, tmp_path):
    monkeypatch.setattr(folder, "load_signatures", lambda model: {"foreign": "f", "read": "r"})

    assert folder.language_signatures(tmp_path, "read") == {"read": "r"}
    with pytest.raises(UsageError, match=r"with the signature 'write'.*a model without it"):
        folder.language_signatures(tmp_path, "read", "write")


def test_language_signatures_of_an_older_export_say_to_run_again(monkeypatch, tmp_path):
    monkeypatch.setattr(folder, "load_signatures", lambda model: {"generate": "g", "read": "r"})

    with pytest.raises(UsageError, match=r"without the signature 'write'\. Run the pipeline again"):
        folder.language_signatures(tmp_path, "read", "write")


def test_tasks_of_signatures_are_those_of_the_catalogue():
    assert {model.signature: task for task, model in EXAMPLE_TASKS.items()} == folder.TASKS
