"""Token ids to text, cut anywhere."""

import numpy as np
import pytest

from components.served.pieces import Pieces
from components.transform.words import join_words
from tests.components.exporter.exported import FULL, OF_EACH_KIND

TOKENIZERS = {"char": FULL, **OF_EACH_KIND}
PROMPTS = ["", "a", "a ", "a\n", "bé c"]


def written_at_once(tokenizer, prompt, ids):
    """The continuation, from the symbols themselves."""
    symbols = [tokenizer.symbols[i - len(tokenizer.specials)] for i in ids]
    if tokenizer.kind != "word":
        return b"".join(symbols).decode("utf-8", "replace")
    text = join_words(symbol.decode() for symbol in symbols)
    beside_space = not prompt or prompt[-1] in " \n" or text.startswith("\n") or not text
    return text if beside_space else " " + text


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_pieces_cut_anywhere_join_to_the_text_at_once(kind, prompt):
    tokenizer = TOKENIZERS[kind]
    random = np.random.default_rng(len(prompt))
    for _ in range(20):
        ids = random.integers(len(tokenizer.specials), len(tokenizer), size=random.integers(0, 12)).tolist()
        cuts = sorted(random.integers(0, len(ids) + 1, size=3))
        pieces = Pieces(tokenizer, prompt)

        texts = [pieces.add(ids[a:b]) for a, b in zip([0, *cuts], [*cuts, len(ids)], strict=True)]
        texts.append(pieces.add([], last=True))

        assert "".join(texts) == written_at_once(tokenizer, prompt, ids)


def test_pieces_hold_a_part_of_a_character_back_until_it_is_whole():
    tokenizer = OF_EACH_KIND["byte"]
    pieces = Pieces(tokenizer, "")
    ids = tokenizer.encode("é🙂").tolist()

    assert [pieces.add([i]) for i in ids] == ["", "é", "", "", "", "🙂"]


def test_pieces_part_of_a_character_at_the_end_is_a_replacement_character():
    tokenizer = OF_EACH_KIND["byte"]
    pieces = Pieces(tokenizer, "")

    assert pieces.add(tokenizer.encode("aé").tolist()[:-1]) == "a"
    assert pieces.add([], last=True) == "\ufffd"
