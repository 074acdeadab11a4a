"""Recipes and overrides: what is read, and the message for each thing that can be wrong."""

from pathlib import Path

import pytest

from pipeline.config_file import load_config
from pipeline.errors import UsageError

RECIPE = "pipeline: {name: q}\nexample_gen:\n  source: inline:hello\n"


def write(folder: Path, text: str | bytes = RECIPE) -> Path:
    path = folder / "recipe.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def message(path: Path, *overrides: str) -> str:
    with pytest.raises(UsageError) as error:
        load_config(path, overrides)
    return str(error.value)


def test_load_config_minimal_recipe_has_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    assert (config.pipeline.name, config.model.units, config.trainer.optimizer.name) == ("q", 256, "adam")


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 1e-3), ("2E-4", 2e-4), ("1.5e+1", 15.0), (".5e1", 5.0), ("3", 3.0), ("0.1", 0.1)]
)
def test_load_config_number_notation_reads_as_float(tmp_path: Path, text: str, value: float) -> None:
    recipe = RECIPE + f"trainer: {{optimizer: {{learning_rate: {text}}}}}\n"
    assert load_config(write(tmp_path, recipe)).trainer.optimizer.learning_rate == value
    override = f"trainer.optimizer.learning_rate={text}"
    assert load_config(write(tmp_path), [override]).trainer.optimizer.learning_rate == value


def test_load_config_empty_section_is_all_defaults(tmp_path: Path) -> None:
    recipe = RECIPE + "trainer:\nevaluator:\n  thresholds:\n"
    assert load_config(write(tmp_path, recipe)) == load_config(write(tmp_path))


def test_load_config_model_options_are_read_and_off_by_default(tmp_path: Path) -> None:
    path = write(tmp_path)
    off = load_config(path).model
    assert (off.embedding, off.tied, off.skip_connections) == (None, False, False)
    assert (off.recurrent_initializer, off.dropout.input, off.dropout.recurrent, off.dropout.output) == (
        "orthogonal",
        0,
        0,
        0,
    )
    on = load_config(
        path,
        [
            "model={units: 64, embedding: 64, tied: true, skip_connections: true, dropout: {input: 0.1}}",
            "model.recurrent_initializer.spectral_radius=1.1",
            "model.dropout.output=0.3",
        ],
    ).model
    assert (on.embedding, on.tied, on.skip_connections) == (64, True, True)
    assert not isinstance(on.recurrent_initializer, str)
    assert on.recurrent_initializer.spectral_radius == 1.1
    assert (on.dropout.input, on.dropout.recurrent, on.dropout.output) == (0.1, 0, 0.3)
    assert load_config(path, ["model.recurrent_initializer=identity"]).model.recurrent_initializer == "identity"


def test_load_config_later_override_wins(tmp_path: Path) -> None:
    assert load_config(write(tmp_path), ["model.units=3", "model.units=5"]).model.units == 5


def test_load_config_override_of_a_section_replaces_it(tmp_path: Path) -> None:
    path = write(tmp_path, RECIPE + "trainer: {optimizer: {name: sgd, clipnorm: 1}}\n")
    optimizer = load_config(path, ["trainer.optimizer={clipvalue: 2}"]).trainer.optimizer
    assert (optimizer.name, optimizer.clipnorm, optimizer.clipvalue) == ("adam", None, 2)


def test_load_config_override_below_same_makes_a_mapping(tmp_path: Path) -> None:
    path = write(tmp_path, RECIPE + "  splits: same\n")
    assert load_config(path).example_gen.splits == "same"
    splits = load_config(path, ["example_gen.splits.train=0.8", "example_gen.splits.test=0.15"]).example_gen.splits
    assert splits != "same"
    assert splits.train == 0.8


@pytest.mark.parametrize("text", ["inline:Enter: Romeo #1", "inline:a\nb", "inline:- x", "inline: spaced "])
def test_load_config_override_text_is_kept_as_it_stands(tmp_path: Path, text: str) -> None:
    assert load_config(write(tmp_path), [f"example_gen.source={text}"]).example_gen.source == text


def test_load_config_override_of_an_alias_changes_one_section_only(tmp_path: Path) -> None:
    recipe = RECIPE + "evaluator:\n  thresholds:\n    nats: &bound {upper: 3}\n    perplexity: *bound\n"
    thresholds = load_config(write(tmp_path, recipe), ["evaluator.thresholds.nats.upper=2"]).evaluator.thresholds
    assert (thresholds.nats.upper, thresholds.perplexity.upper) == (2, 3)


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        (
            "trainer.optimizer.learning_rte=0.1",
            [
                "trainer.optimizer.learning_rte is not a known key. Received: trainer.optimizer.learning_rte=0.1.",
                "Did you mean 'learning_rate'? Known keys of trainer.optimizer: name, learning_rate,",
            ],
        ),
        ("trainer.learning_rate=1", ["Did you mean 'trainer.optimizer.learning_rate'?", "Known keys of trainer:"]),
        ("trainr.epochs=1", ["trainr is not a known key", "Did you mean 'trainer'? Known sections: pipeline,"]),
        ("model.units=-3", ["model.units must be an integer > 0. Received: model.units=-3."]),
        ("model.units='64'", ["model.units must be an integer > 0. Received: model.units='64'."]),
        ("model.units=true", ["model.units must be an integer > 0. Received: model.units=True."]),
        ("trainer.epochs=many", ["trainer.epochs must be an integer > 0. Received: trainer.epochs='many'."]),
        ("trainer.batch_size=x", ["trainer.batch_size must be an integer > 0, or null."]),
        ("trainer.seed=-1", ["trainer.seed must be an integer >= 0 and < 2147483648. Received: trainer.seed=-1."]),
        (
            "trainer.optimizer.learning_rate=.inf",
            ["must be a number > 0. Received: trainer.optimizer.learning_rate=inf"],
        ),
        ("model.activation=tnh", ["model.activation must be one of 'tanh', 'relu', 'sigmoid', 'linear'. Received:"]),
        ("model=3", ["model must be a mapping with the keys task, units,", "Received: model=3."]),
        ("model.dropout=0.5", ["model.dropout must be a mapping with the keys input, recurrent, output."]),
        ("model.dropout.input=1", ["model.dropout.input must be a number >= 0 and < 1. Received:"]),
        ("model.dropout.recurrent=-0.1", ["model.dropout.recurrent must be a number >= 0 and < 1."]),
        ("model.dropout.hidden=0.1", ["model.dropout.hidden is not a known key.", "Known keys of model.dropout:"]),
        ("model.embedding=0", ["model.embedding must be an integer > 0, or null. Received: model.embedding=0."]),
        ("model.tied=1", ["model.tied must be true or false. Received: model.tied=1."]),
        ("model.tied=true", ["model: tied reads out with the transposed table, so embedding must equal units=256;"]),
        ("model={tied: true, embedding: 64}", ["equal units=256; here it is 64. Set both alike, or tied to false."]),
        ("model.skip_connections=all", ["model.skip_connections must be true or false."]),
        ("model.recurrent_initializer=eye", ["must be 'orthogonal', 'identity' or {spectral_radius: NUMBER above 0}."]),
        ("model.recurrent_initializer.spectral_radius=0", ["spectral_radius must be a number > 0. Received: model"]),
        ("model.recurrent_initializer={spectral_radius: 1, seed: 2}", ["seed is not a known key."]),
        ("example_gen.splits=sme", ["splits must be a mapping with the keys train, eval, test, or 'same' or 'given'."]),
        ("example_gen.document=line", ["document is for text: sources; here source is inline:. Leave it out."]),
        ("example_gen.document=page", ["example_gen.document must be 'file', 'line' or {separator: TEXT}."]),
        ("example_gen.document={separator: ''}", ["separator must be text of at least one character."]),
        ("example_gen.fields={text: body}", ["fields is for sources of records (jsonl:, csv:, tsv:, tfds:); here"]),
        ("example_gen.fields={txt: body}", ["example_gen.fields.txt is not a known key.", "Did you mean 'text'?"]),
        ("example_gen.splits=given", ["inline: sources name no splits, so `splits: given` is not for them."]),
        ("example_gen.data_dir=/data", ["data_dir is for tfds: sources; here source is inline:. Leave it out."]),
        ("example_gen.on_bad_record=drop", ["example_gen.on_bad_record must be 'fail' or 'skip'."]),
        ("example_gen.split_by=name", ["example_gen.split_by must be 'hash' or 'position'."]),
        ("example_gen.splits={evl: 1}", ["example_gen.splits.evl is not a known key.", "Did you mean 'eval'?"]),
        ("example_gen.splits.train=2", ["example_gen.splits.train must be a number > 0 and <= 1."]),
        ("example_gen.splits.train=1", ["example_gen.splits: train + eval + test must be 1; here they add up to 1.1."]),
        ("example_gen.source=hello", ["example_gen.source must be inline:TEXT, text:GLOB, jsonl:GLOB,"]),
        ("transform.target={tokenizer: wrd}", ["transform.target.tokenizer must be one of 'char', 'byte',", "'wrd'"]),
        (
            "transform.target={tokenizer: byte, min_count: 2}",
            ["transform.target: min_count is for the tokenizers char"],
        ),
        (
            "transform={records: examples, specials: [end], target: {min_count: 2}}",
            ["transform: target.min_count above"],
        ),
        ("transform.target={lowercase: true}", ["transform: target is for `records: examples`"]),
        ("transform.target={lanes: 3}", ["transform.target.lanes is not a known key"]),
        ("transform.specials=[end, foo]", ["specials must be a list, each item one of 'end', 'unk', 'pad'.", "'foo'"]),
        ("trainer.devices=0", ["trainer.devices must be an integer > 0, or 'all'. Received: trainer.devices=0."]),
        ("trainer.devices=two", ["trainer.devices must be an integer > 0, or 'all'. Received: trainer.devices='two'."]),
        ("trainer.devices=3", ["trainer.devices must divide the rows of a batch, transform.lanes=64; received 3."]),
        ("trainer={batch_size: 16, devices: 32}", ["a batch, trainer.batch_size=16; received 32."]),
        (
            "trainer={update_interval: 8, truncation_length: 4}",
            ["trainer: truncation_length must be at least update_interval=8; received 4"],
        ),
        (
            "trainer.truncation_length=32",
            ["trainer.truncation_length must be at least trainer.update_interval (here transform.window_length=64)"],
        ),
        ("trainer.length_warmup={length: 64, steps: 9}", ["trainer.length_warmup.length must be below 64"]),
        (
            "trainer={truncation_length: 80, length_warmup: {steps: 9}}",
            ["trainer.length_warmup needs truncation_length = update_interval; received 80"],
        ),
        ("trainer={vanishing_penalty: 1.0, devices: 2}", ["trainer.vanishing_penalty is for one device"]),
        ("trainer.keep_checkpoints=1", ["trainer.keep_checkpoints must be an integer >= 2"]),
        ("trainer.nan_policy=ignore", ["trainer.nan_policy must be one of 'fail', 'skip', 'kick', 'rollback'"]),
        ("trainer.optimizer.ema=1.0", ["trainer.optimizer.ema must be a number > 0 and < 1"]),
        ("trainer.batch_size=7", ["Config: trainer.batch_size must divide transform.lanes=64; received 7."]),
        ("evaluator.thresholds.accuracy.lower=0.5", ["thresholds.accuracy must be on a metric of the task language"]),
        ("pipeline.name=no", ["pipeline.name must be", "Received: pipeline.name=False. Put it in quotes"]),
        ("pipeline.name=../up", ["pipeline.name must be a name of letters"]),
    ],
)
def test_load_config_bad_value_is_one_line_with_its_path(tmp_path: Path, override: str, parts: list[str]) -> None:
    text = message(write(tmp_path), override)
    assert text.startswith("Config: ")
    assert "\n" not in text
    for part in parts:
        assert part in text


@pytest.mark.parametrize(
    ("task", "tokenizer", "metric", "known"),
    [
        ("tagging", "word", "bleu", "accuracy, macro_f1, nats"),
        ("regression_sequence", "char", "accuracy", "mse, mae"),
        ("seq2seq", "char", "bleu", "exact_match, token_accuracy, error_rate"),
        ("seq2seq", "word", "bleu", None),
        ("classification", "char", "macro_f1", None),
    ],
)
def test_load_config_threshold_on_a_metric_of_another_task_is_refused(
    tmp_path: Path, task: str, tokenizer: str, metric: str, known: str | None
) -> None:
    overrides = [
        f"model.task={task}",
        f"transform={{records: examples, tokenizer: {tokenizer}}}",
        f"evaluator.thresholds.{metric}.lower=0.5",
    ]
    if known is None:
        load_config(write(tmp_path), overrides)
        return
    text = message(write(tmp_path), *overrides)
    assert f"evaluator.thresholds.{metric} must be on a metric of the task {task}: {known}" in text


@pytest.mark.parametrize(("batch_size", "rows"), [("null", 64), ("9", 9)])
def test_load_config_devices_that_do_not_divide_a_batch_of_examples_are_refused(
    tmp_path: Path, batch_size: str, rows: int
) -> None:
    examples = ["transform.records=examples", f"trainer.batch_size={batch_size}"]

    text = message(write(tmp_path), *examples, "trainer.devices=5")

    assert f"trainer.devices must divide the rows of a batch, trainer.batch_size={rows}; received 5." in text
    assert load_config(write(tmp_path), [*examples, "trainer.devices=1"]).trainer.devices == 1


def test_load_config_several_problems_are_told_together(tmp_path: Path) -> None:
    lines = message(write(tmp_path), "model.units=0", "model.layers=x", "nothing=1").splitlines()
    assert len(lines) == 3
    assert all(line.startswith("Config: ") for line in lines)


@pytest.mark.parametrize("override", ["model.units", "=3", "a..b=1", "model.=1", "model.un its=1"])
def test_load_config_bad_override_syntax_is_refused(tmp_path: Path, override: str) -> None:
    assert "--set must be KEY.PATH=VALUE" in message(write(tmp_path), override)


def test_load_config_bad_override_yaml_names_its_key(tmp_path: Path) -> None:
    assert "--set model.units: VALUE is no valid YAML" in message(write(tmp_path), "model.units=[1")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [1\nb: 2\n", "no valid YAML: line 2"),
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' is given twice (first on line 1)"),
        ("a: {b: 1, b: 2}\n", "the key 'b' is given twice"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        ("? [a]\n: 1\n", "a key must be plain text"),
        ("a: !!int x\n", "no valid YAML"),
        ("[" * 20_000, "nested too deeply"),
        (b"a: \xff\n", "must be UTF-8; byte 3 is not"),
        ("- a\n", "top level of"),
        ("", "pipeline.name must be given"),
        ("on: 1\n" + RECIPE, "Config: on is not a known key. Received: on=1."),
    ],
)
def test_load_config_bad_file_says_where(tmp_path: Path, text: str | bytes, part: str) -> None:
    assert part in message(write(tmp_path, text))


def test_load_config_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    assert message(path) == f"Config: the file must exist. Received: {str(path)!r}."


def test_load_config_folder_is_refused(tmp_path: Path) -> None:
    assert "not a folder" in message(tmp_path)


def test_load_config_a_checks_severity_alone_keeps_its_share(tmp_path: Path) -> None:
    default = load_config(write(tmp_path)).example_validator.empty_documents
    changed = load_config(write(tmp_path), ["example_validator.empty_documents.severity=warn"]).example_validator
    assert (default.severity, changed.empty_documents.severity) == ("stop", "warn")
    assert changed.empty_documents.max_share == default.max_share > 0
    strict = load_config(write(tmp_path), ["example_validator.empty_documents.max_share=0.0"]).example_validator
    assert (strict.empty_documents.severity, strict.empty_documents.max_share) == ("stop", 0)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("example_validator.drft.severity=warn", "Did you mean 'drift'?"),
        ("example_validator.drift.severity=loud", "one of 'off', 'warn', 'stop'"),
        ("example_validator.empty_documents.max_share=2", "must be a number >= 0 and <= 1"),
        ("example_validator.drift=warn", "a mapping with the keys severity"),
        ("example_validator.drift.max_share=0.1", "is not a known key"),
    ],
)
def test_load_config_bad_check_is_explained(tmp_path: Path, override: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(write(tmp_path), [override])
    assert text in str(caught.value)
    assert str(caught.value).startswith("Config: example_validator.")
