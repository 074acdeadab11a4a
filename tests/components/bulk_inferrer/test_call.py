"""Which signatures answer records, and what their other inputs are."""

from pathlib import Path

import pytest

from components.bulk_inferrer.call import describe
from pipeline.errors import UsageError


def test_describe_fills_in_the_signatures_defaults(full: Path) -> None:
    call = describe(full, "generate", {"max_length": "7", "temperature": "0.5"}, seed=None)
    assert (call.record, call.seed) == ("prompt", 0)
    assert call.options == {"max_length": 7, "temperature": 0.5, "top_k": 0, "top_p": 1.0}
    assert isinstance(call.options["max_length"], int)
    score = describe(full, "score", {}, seed=None)
    assert (score.record, score.seed, score.options) == ("text", None, {})


def test_seed_of_a_record_depends_on_key_and_seed_alone(full: Path) -> None:
    one, other = (describe(full, "generate", {}, seed) for seed in (1, 2))
    seeds = [one.seed_of("a"), one.seed_of("b"), other.seed_of("a")]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**53 for seed in seeds)
    assert describe(full, "sample", {"samples": "2"}, 1).seed_of("a") == seeds[0]


@pytest.mark.parametrize(
    ("signature", "options", "seed", "message"),
    [
        ("genrate", {}, None, r"Received: 'genrate'.*Did you mean 'generate'\?.*generate, sample, score"),
        ("step", {}, None, r"Received: 'step', which does not\."),
        ("inspect", {}, None, r"Received: 'inspect', which does not\."),
        ("score", {}, 3, r"--seed must go with a signature that draws"),
        ("score", {"max_length": "3"}, None, r"Received: max_length=3\..*none besides the record"),
        ("generate", {"max_lenth": "3"}, None, r"Did you mean 'max_length'\?"),
        ("generate", {"seed": "3"}, None, r"Use --seed\."),
        ("generate", {"max_length": "3.5"}, None, r"max_length must be an integer\. Received: max_length=3\.5"),
        ("generate", {"max_length": "-1"}, None, r"max_length must be an integer >= 0.*max_length=-1"),
        ("generate", {"temperature": "nan"}, None, r"temperature must be a number >= 0 and finite"),
        ("sample", {"samples": "0"}, None, r"--set samples must be >= 1"),
    ],
)
def test_describe_refuses_what_the_model_cannot_answer(
    full: Path, signature: str, options: dict[str, str], seed: int | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        describe(full, signature, options, seed)


def test_describe_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--model must be the folder of a served model"):
        describe(tmp_path, "score", {}, None)
