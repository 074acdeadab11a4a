"""Data sets of text: literal documents of small samples, bad records by name, and the real sets if they are at hand."""

from collections import Counter
from pathlib import Path

import pytest

from tests.components.example_gen.datasets.raw import conllu_word, put
from tests.components.example_gen.datasets.samples import read, rules
from tests.real_sets import DATA, files_at_hand

# ---- Sentence polarity ----------------------------------------------------------------------------------------------

POLARITY = "sentence_polarity/rt-polarity"


def test_sentence_polarity_labels_are_the_files_suffixes(tmp_path: Path) -> None:
    put(tmp_path, {f"{POLARITY}.pos": "a fine film . \nså bra !\r\n", f"{POLARITY}.neg": "dull"})
    assert read("sentence_polarity", tmp_path) == (
        [
            {"id": "rt-polarity.neg:1", "label": "neg", "text": "dull"},
            {"id": "rt-polarity.pos:1", "label": "pos", "text": "a fine film ."},
            {"id": "rt-polarity.pos:2", "label": "pos", "text": "så bra !"},
        ],
        [],
    )


def test_sentence_polarity_bad_lines(tmp_path: Path) -> None:
    put(tmp_path, {f"{POLARITY}.neg": b"dull\n \n\xff\nlong", f"{POLARITY}.pos": "fine"})
    good, bad = read("sentence_polarity", tmp_path)
    assert [known["id"] for known in good] == ["rt-polarity.neg:1", "rt-polarity.neg:4", "rt-polarity.pos:1"]
    assert rules(bad) == [
        (2, "a sentence must not be empty", "an empty line"),
        (3, "a document must be UTF-8", "byte 0xff (invalid start byte)"),
    ]
    assert [record.offset for record in bad] == [5, 7]


def test_sentence_polarity_real_set() -> None:
    files_at_hand("sentence_polarity/rt-polarity.*")
    good, bad = read("sentence_polarity", DATA)
    assert bad == []
    assert Counter(known["label"] for known in good) == {"pos": 5331, "neg": 5331}


# ---- Names ----------------------------------------------------------------------------------------------------------


def test_names_are_text_and_target_and_the_file_is_the_label(tmp_path: Path) -> None:
    put(tmp_path, {"names_18_languages/Irish.txt": "Ó Briain\n\nDaly\n", "names_18_languages/Greek.txt": "Vlahos"})
    good, bad = read("names_18_languages", tmp_path)
    assert good == [
        {"id": "Greek.txt:1", "label": "Greek", "text": "Vlahos", "target": "Vlahos"},
        {"id": "Irish.txt:1", "label": "Irish", "text": "Ó Briain", "target": "Ó Briain"},
        {"id": "Irish.txt:3", "label": "Irish", "text": "Daly", "target": "Daly"},
    ]
    assert [record.line for record in bad] == [2]


def test_names_real_set() -> None:
    files_at_hand("names_18_languages/*.txt")
    good, bad = read("names_18_languages", DATA)
    assert bad == []
    assert len(good) == 20_050
    assert len({known["label"] for known in good}) == 18


# ---- Multi30k -------------------------------------------------------------------------------------------------------

MULTI30K = {
    f"multi30k_en_fr/{name}.{language}.gz": text
    for name in ("train", "val", "test_2016_flickr")
    for language, text in (("en", f"A {name}.\n"), ("fr", f"Un {name}.\n"))
}


def test_multi30k_pairs_lines_of_the_two_languages(tmp_path: Path) -> None:
    put(tmp_path, MULTI30K)
    good, bad = read("multi30k_en_fr", tmp_path)
    assert bad == []
    assert good == [
        {"id": f"{name}.en.gz:1", "split": split, "text": f"A {name}.", "target": f"Un {name}."}
        for name, split in (("train", "train"), ("val", "eval"), ("test_2016_flickr", "test"))
    ]


@pytest.mark.parametrize(
    ("english", "french", "kept", "expected"),
    [
        (
            "a\nb\nc",
            "x\ny",
            ["a", "b"],
            [(3, "each text must have a target", "train.fr.gz has no such line")],
        ),
        (
            "a\nb",
            "\ny",
            ["b"],
            [(1, "each text must have a target", "train.fr.gz: an empty line")],
        ),
        ("\nb", "x\ny", ["b"], [(1, "a sentence must not be empty", "an empty line")]),
        (
            "a",
            "x\ny",
            ["a"],
            [(None, "each target must have a text", "line 2 of train.fr.gz without one in train.en.gz")],
        ),
    ],
)
def test_multi30k_lines_without_their_other_half(
    tmp_path: Path, english: str, french: str, kept: list[str], expected: list
) -> None:
    put(tmp_path, MULTI30K | {"multi30k_en_fr/train.en.gz": english, "multi30k_en_fr/train.fr.gz": french})
    good, bad = read("multi30k_en_fr", tmp_path)
    assert [known["text"] for known in good if known["split"] == "train"] == kept
    assert rules(bad) == expected


def test_multi30k_file_that_is_cut_off(tmp_path: Path) -> None:
    put(tmp_path, MULTI30K)
    path = tmp_path / "multi30k_en_fr/val.en.gz"
    path.write_bytes(path.read_bytes()[:-6])
    _, bad = read("multi30k_en_fr", tmp_path)
    assert bad[0].rule == "a compressed file must be whole"


def test_multi30k_real_set() -> None:
    files_at_hand("multi30k_en_fr/*.gz")
    good, bad = read("multi30k_en_fr", DATA)
    assert bad == []
    assert Counter(known["split"] for known in good) == {"train": 29_000, "eval": 1_014, "test": 1_000}


# ---- CMUdict --------------------------------------------------------------------------------------------------------


def test_cmudict_gathers_the_pronunciations_of_a_word(tmp_path: Path) -> None:
    lines = "A 1 AH0\nA. 1 EY1\nA 2 EY1\nABBE 1 AE1 B IY0\nABBE 2 AE1 B IY0\n"
    put(tmp_path, {"cmudict/cmudict.gz": lines})
    assert read("cmudict", tmp_path) == (
        [
            {"id": "A", "text": "A", "target": "AH0", "references": ["AH0", "EY1"]},
            {"id": "A.", "text": "A.", "target": "EY1", "references": ["EY1"]},
            {"id": "ABBE", "text": "ABBE", "target": "AE1 B IY0", "references": ["AE1 B IY0"]},
        ],
        [],
    )


@pytest.mark.parametrize("line", ["A 1", "A one AH0", "A", "", "A 1 AH0  B", " 1 AH0"])
def test_cmudict_line_of_another_form_is_bad(tmp_path: Path, line: str) -> None:
    put(tmp_path, {"cmudict/cmudict.gz": f"BE 1 B IY0\n{line}\nSEE 1 S IY0\n"})
    good, bad = read("cmudict", tmp_path)
    assert [known["id"] for known in good] == ["BE", "SEE"]
    assert [(record.line, record.offset) for record in bad] == [(2, 11)]
    assert "a word, the number of its pronunciation, and phonemes" in bad[0].rule


def test_cmudict_real_set() -> None:
    files_at_hand("cmudict/cmudict.gz")
    good, bad = read("cmudict", DATA)
    assert bad == []
    assert len(good) == 123_455
    by_word = {known["id"]: known["references"] for known in good}
    assert by_word["ABBE"] == ["AE1 B IY0", "AE0 B EY1"]


# ---- bAbI -----------------------------------------------------------------------------------------------------------

TRAIN, TEST = (f"babi_qa1/qa1_single-supporting-fact_{split}.txt" for split in ("train", "test"))
STORY = "1 Mary ran.\n2 John sat.\n3 Where is Mary? \tkitchen\t1\n4 Mary fell.\n5 Where is Mary?\thall\t4\n1 Jo sat.\n"


def test_babi_text_is_the_story_so_far_and_the_question(tmp_path: Path) -> None:
    put(tmp_path, {TRAIN: STORY + "2 Where is Jo?\toffice\t1\n", TEST: "1 Al sat.\n2 Where is Al?\thall\t1\n"})
    good, bad = read("babi_qa1", tmp_path)
    assert bad == []
    assert [(known["split"], known["text"], known["target"]) for known in good] == [
        ("train", "Mary ran. John sat. Where is Mary?", "kitchen"),
        ("train", "Mary ran. John sat. Mary fell. Where is Mary?", "hall"),
        ("train", "Jo sat. Where is Jo?", "office"),
        ("test", "Al sat. Where is Al?", "hall"),
    ]
    assert good[0]["id"] == "qa1_single-supporting-fact_train.txt:3"


def test_babi_supporting_text_is_one_statement_and_the_question(tmp_path: Path) -> None:
    put(tmp_path, {TRAIN: STORY, TEST: STORY})
    good, _ = read("babi_qa1_supporting", tmp_path)
    assert [known["text"] for known in good[:2]] == ["Mary ran. Where is Mary?", "Mary fell. Where is Mary?"]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("Where is Mary?\thall\t1", "a line must be a number and"),
        ("2 ", "a line must be a number and"),
        ("2 Where is Mary?\thall", "a question must have an answer"),
        ("2 Where is Mary?\t\t1", "a question must have an answer"),
        ("2 Where is Mary?\thall\t7", "a question must name a statement"),
    ],
)
def test_babi_line_of_another_form_is_bad(tmp_path: Path, line: str, rule: str) -> None:
    put(tmp_path, {TRAIN: f"1 Mary ran.\n{line}\n3 Where is Mary?\thall\t1\n", TEST: ""})
    good, bad = read("babi_qa1", tmp_path)
    assert [known["text"] for known in good] == ["Mary ran. Where is Mary?"]
    assert [(record.line, record.offset) for record in bad] == [(2, 12)]
    assert bad[0].rule.startswith(rule)


def test_babi_real_set() -> None:
    files_at_hand("babi_qa1/*.txt")
    for name in ("babi_qa1", "babi_qa1_supporting"):
        good, bad = read(name, DATA)
        assert bad == []
        assert Counter(known["split"] for known in good) == {"train": 10_000, "test": 1_000}
        assert len({known["target"] for known in good}) == 6


# ---- Universal Dependencies -----------------------------------------------------------------------------------------

EWT = {f"ud_english_ewt/en_ewt-ud-{split}.conllu.gz": "" for split in ("train", "dev", "test")}
EWT_TRAIN = "ud_english_ewt/en_ewt-ud-train.conllu.gz"


def test_ud_english_ewt_words_and_their_tags(tmp_path: Path) -> None:
    sentence = (
        "# text = it isn't 10 000\n"
        + conllu_word("1", "it", "PRON")
        + conllu_word("2-3", "isn't", "_")
        + conllu_word("2", "is", "AUX")
    )
    sentence += (
        conllu_word("3", "n't", "PART") + conllu_word("3.1", "left", "VERB") + conllu_word("4", "10 000", "NUM") + "\n"
    )
    last = "\n# one more\n" + conllu_word("1", "Yes", "INTJ")  # two empty lines before, none after
    dev = conllu_word("1", "é", "X")
    put(tmp_path, EWT | {EWT_TRAIN: sentence + last, "ud_english_ewt/en_ewt-ud-dev.conllu.gz": dev})
    good, bad = read("ud_english_ewt", tmp_path)
    assert bad == []
    assert good == [
        {
            "id": "en_ewt-ud-train.conllu.gz:1",
            "split": "train",
            "text": "it is n't 10\u00a0000",
            "tags": ["PRON", "AUX", "PART", "NUM"],
        },
        {"id": "en_ewt-ud-train.conllu.gz:10", "split": "train", "text": "Yes", "tags": ["INTJ"]},
        {"id": "en_ewt-ud-dev.conllu.gz:1", "split": "eval", "text": "é", "tags": ["X"]},
    ]


@pytest.mark.parametrize(
    ("line", "rule", "number"),
    [
        ("2\tran\tVERB\n", "a word must be a line of 10 columns", 2),
        (conllu_word("2", "", "VERB"), "a word must have a form", 2),
        (conllu_word("2", "ran", "_"), "a word must have a form and a part of speech", 2),
        (conllu_word("two", "ran", "VERB"), "a word must have a number", 2),
        ("\n# nothing\n", "a sentence must have a word", 3),
    ],
)
def test_ud_english_ewt_bad_line_costs_its_sentence(tmp_path: Path, line: str, rule: str, number: int) -> None:
    put(
        tmp_path,
        EWT | {EWT_TRAIN: conllu_word("1", "Al", "PROPN") + line + "\n" + conllu_word("1", "Yes", "INTJ") + "\n"},
    )
    good, bad = read("ud_english_ewt", tmp_path)
    assert [known["text"] for known in good][-1] == "Yes"
    assert len(good) == (2 if line.startswith("\n") else 1)
    assert [record.line for record in bad] == [number]
    assert bad[0].rule.startswith(rule)


def test_ud_english_ewt_real_set() -> None:
    files_at_hand("ud_english_ewt/*.conllu.gz")
    good, bad = read("ud_english_ewt", DATA)
    assert bad == []
    assert Counter(known["split"] for known in good) == {"train": 12_544, "eval": 2_001, "test": 2_077}
    assert all(len(known["text"].split(" ")) == len(known["tags"]) for known in good)
    assert sum(len(known["tags"]) for known in good if known["split"] == "train") == 204_577
    assert len({tag for known in good for tag in known["tags"]}) == 17
