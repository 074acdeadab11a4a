"""Digests: which edits of code, settings and files change them, and which do not."""

from pathlib import Path

import pytest

from pipeline.code import code_digests
from pipeline.files import digest_folder
from pipeline.fingerprint import hash_ingredients, ingredients
from pipeline.stage import Stage
from tests.pipeline import fakes

TREE = {
    "components/__init__.py": '"""Stages."""\n',
    "components/stage.py": (
        '"""A stage."""\n'
        "import os, json\n"
        "from . import near\n"
        "CHILD = ['-m', 'components.child.main', 'components.nothing']\n"
        "def run():\n"
        '    """Runs."""\n'
        "    from custom_layers.deep import layer  # late\n"
        "    return layer\n"
    ),
    "components/near.py": "X = 1\n",
    "components/child/__init__.py": "",
    "components/child/main.py": "Y = 1\n",
    "components/unrelated.py": "Z = 1\n",
    "custom_layers/__init__.py": "",
    "custom_layers/deep/__init__.py": "from ..base import B as layer\n",
    "custom_layers/base.py": "B = 1\n",
}


def digest(folder: Path, name: str, **edits: str) -> str:
    """Writes the tree, with `old=new` replaced in every file that has it, and digests `components.stage`."""
    for path, text in TREE.items():
        for old, new in edits.items():
            text = text.replace(old, new)
        target = folder / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return code_digests("components.stage", folder / name)


def test_code_digest_copied_tree_is_the_same(tmp_path: Path) -> None:
    assert digest(tmp_path, "a") == digest(tmp_path, "b")


@pytest.mark.parametrize("old", ["# late", "Runs.", "A stage.", "Stages."])
def test_code_digest_comment_or_docstring_edit_changes_nothing(tmp_path: Path, old: str) -> None:
    assert any(old in text for text in TREE.values())
    new = "# later" if old.startswith("#") else "Other words."
    assert digest(tmp_path, "a") == digest(tmp_path, "b", **{old: new})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return layer", "return 2"),  # itself
        ("X = 1", "X = 2"),  # relative import of a submodule
        ("B = 1", "B = 2"),  # function-level import, through a package's __init__
        ("Y = 1", "Y = 2"),  # module named in an argument list
    ],
)
def test_code_digest_edit_of_reached_code_changes_it(tmp_path: Path, old: str, new: str) -> None:
    assert digest(tmp_path, "a") != digest(tmp_path, "b", **{old: new})


def test_code_digest_edit_of_code_not_reached_changes_nothing(tmp_path: Path) -> None:
    assert digest(tmp_path, "a") == digest(tmp_path, "b", **{"Z = 1": "Z = 2"})


def test_code_digest_import_cycle_ends(tmp_path: Path) -> None:
    assert digest(tmp_path, "a") != digest(tmp_path, "b", **{"X = 1": "import components.stage"})


def test_code_digest_module_without_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'components\.none'"):
        code_digests("components.none", tmp_path)


def fingerprint(stage: Stage, input_digests: dict[str, str], root: Path) -> str:
    return hash_ingredients(ingredients(stage, input_digests, root))


def test_fingerprint_depends_on_settings_and_inputs(tmp_path: Path) -> None:
    first, second = (fakes.Trainer.from_config(fakes.config(seed=seed)) for seed in (1, 2))
    same = fingerprint(first, {"examples": "a"}, tmp_path)
    assert same == fingerprint(fakes.Trainer.from_config(fakes.config(seed=1)), {"examples": "a"}, tmp_path)
    assert (
        len({same, fingerprint(second, {"examples": "a"}, tmp_path), fingerprint(first, {"examples": "b"}, tmp_path)})
        == 3
    )


def test_fingerprint_setting_of_another_stage_does_not_matter(tmp_path: Path) -> None:
    stages = [fakes.Evaluator.from_config(fakes.config(seed=seed)) for seed in (1, 2)]
    assert fingerprint(stages[0], {}, tmp_path) == fingerprint(stages[1], {}, tmp_path)


def test_digest_folder_depends_on_names_and_bytes_only(tmp_path: Path) -> None:
    def make(name: str, files: dict[str, bytes]) -> str:
        for path, content in files.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return digest_folder(tmp_path / name)

    same = make("a", {"x/y": b"1", "z": b"2"})
    assert same == make("b", {"z": b"2", "x/y": b"1"})
    others = [
        make("c", {"x/y": b"1", "z": b"3"}),
        make("d", {"x/w": b"1", "z": b"2"}),
        make("e", {"x/y": b"12", "z": b""}),
    ]
    assert len({same, *others}) == 4
