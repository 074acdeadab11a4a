"""The commands that use a pushed model: sample, score, serve, bulk."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pipeline.commands import AddCommand, folder
from pipeline.errors import UsageError
from pipeline.interrupt import ending_at_interrupt

_API_KEY = "RNN_PIPELINE_API_KEY"


def add(command: AddCommand) -> None:
    """Adds the commands to the parser."""
    sample = command(
        "sample",
        _sample,
        "Sample text from a pushed model.",
        "sample --model runs/quickstart/serving/quickstart --stream",
        "sample --model runs/quickstart/serving/quickstart --prompt 'ROMEO' --temperature 0.7 --num 3 --stats",
    )
    _add_model(sample)
    prompt = sample.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", default="", metavar="T", help="text to continue (default: none)")
    prompt.add_argument("--prompt-file", metavar="FILE", help="the same, all of a UTF-8 file; - is standard input")
    sample.add_argument("--length", type=int, default=500, metavar="N", help="most characters to add (default: 500)")
    sample.add_argument("--min-length", type=int, default=0, metavar="N", help="fewest (default: 0)")
    sample.add_argument("--temperature", type=float, default=1.0, metavar="X", help="default: 1; below 1 is bolder")
    sample.add_argument("--top-k", type=int, default=0, metavar="K", help="only the K likeliest (default: 0, all)")
    sample.add_argument("--top-p", type=float, default=1.0, metavar="P", help="only the likeliest that make up P")
    sample.add_argument("--greedy", action="store_true", help="always the likeliest character")
    sample.add_argument(
        "--repetition-stop", type=int, default=0, metavar="N", help="end a text going in a circle for N characters"
    )
    sample.add_argument("--seed", type=int, metavar="S", help="same seed, same text")
    sample.add_argument("--num", type=int, default=1, metavar="N", help="number of texts (default: 1)")
    sample.add_argument("--stream", action="store_true", help="show the text as it comes")
    sample.add_argument("--stats", action="store_true", help="tell speed, ln p and what was copied (on standard error)")
    sample.add_argument(
        "--corpus", nargs="+", metavar="FILE", help="with --stats: the training text (default: by the root's lineage)"
    )
    sample.add_argument("--json", action="store_true", help="print one JSON object")

    score = command(
        "score",
        _score,
        "Tell how well a pushed model predicts texts.",
        "score --model runs/quickstart/serving/quickstart sonnet.txt",
        "score --model runs/quickstart/serving/quickstart --verbose -",
    )
    _add_model(score)
    files = "UTF-8 texts, a document each; - (default) is standard input"
    score.add_argument("files", nargs="*", default=["-"], metavar="FILE", help=files)
    score.add_argument("--verbose", action="store_true", help="tell what was expected, character by character")
    score.add_argument("--json", action="store_true", help="print one JSON object")

    serve = command(
        "serve",
        _serve,
        "Serve a pushed model: TensorFlow Serving's REST and gRPC, streams, and a page.",
        "serve --model runs/quickstart/serving/quickstart",
        "serve --model runs/quickstart/serving/quickstart --port 8601 --grpc-port 8600 --limit concurrent=32",
    )
    _add_model(serve)
    serve.add_argument("--name", default="rnn", metavar="N", help="that clients know it by (default: rnn)")
    serve.add_argument("--host", default="127.0.0.1", metavar="H", help="default: 127.0.0.1, this machine only")
    serve.add_argument("--port", type=int, default=8501, metavar="N", help="of HTTP (default: 8501; 0: a free one)")
    serve.add_argument(
        "--grpc-port", type=int, default=8500, metavar="N", help="of gRPC (default: 8500; 0: a free one)"
    )
    key = f"clients must send it: Authorization: Bearer KEY (or the variable {_API_KEY}, which `ps` does not show)"
    serve.add_argument("--api-key", metavar="KEY", help=key)
    serve.add_argument(
        "--limit", action="append", default=[], metavar="NAME=VALUE", help="of requests: docs/serving.md lists them"
    )
    serve.add_argument("--keep", type=int, default=2, metavar="N", help="newest versions served at once (default: 2)")

    bulk = command(
        "bulk",
        _bulk,
        "Answer every line of files with a pushed model; each record's answer is its own.",
        "bulk --model runs/quickstart/serving/quickstart --output answers prompts.txt",
        "bulk --model runs/names/serving/names --signature classify --output classes names.jsonl --field name",
    )
    _add_model(bulk)
    bulk.add_argument("--signature", default="serving_default", metavar="S", help="generate, score, classify, tag, …")
    bulk.add_argument("--output", type=folder, required=True, metavar="DIR", help="folder to make; must not exist yet")
    bulk.add_argument(
        "--format", choices=("jsonl", "tfrecord"), default="jsonl", help="of the answers (default: jsonl)"
    )
    bulk.add_argument("--field", metavar="F", help="lines are JSON objects, whose field F is the record")
    bulk.add_argument("--key", metavar="F", help="field that names a record (default: FILE:LINE does)")
    bulk.add_argument("--seed", type=int, metavar="S", help="same seed and key, same text (default: 0)")
    bulk.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another input (repeatable)")
    bulk.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    bulk.add_argument("--batch-size", type=int, default=128, metavar="N", help="records at a time (default: 128)")
    bulk.add_argument("--longest", type=int, default=100_000, metavar="N", help="bytes of a record (default: 100000)")
    bulk.add_argument("--json", action="store_true", help="print one JSON object")
    bulk.add_argument("files", nargs="+", metavar="FILE", help="UTF-8; a line is a record")


def _add_model(parser: argparse.ArgumentParser) -> None:
    text = "model folder (its newest version), or a version folder"
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help=text)


@ending_at_interrupt()
def _sample(arguments: argparse.Namespace) -> int:
    _check_sampling(arguments)
    prompt = arguments.prompt
    if arguments.prompt_file is not None:
        prompt = _read(arguments.prompt_file, "sample: --prompt-file")
    corpus = {file: _read(file, "sample: --corpus") for file in arguments.corpus or ()}
    from components.sampler import sample
    from pipeline import console, model_console

    written = sample(
        model=arguments.model,
        prompt=prompt,
        length=arguments.length,
        min_length=arguments.min_length,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        greedy=arguments.greedy,
        repetition_stop=arguments.repetition_stop,
        seed=arguments.seed,
        num=arguments.num,
        stream=model_console.TextStream() if arguments.stream else None,
    )
    if arguments.stream:
        console.say()
    elif not arguments.json:
        model_console.show_texts(written)
    copies = None
    if arguments.stats:
        from components.served.training_text import copies_of

        copies = copies_of(arguments.model, corpus, [text.continuation for text in written.samples])
    if arguments.json:
        model_console.show_samples_json(written, copies)
    elif arguments.stats:
        model_console.show_statistics(written, copies)
    return 0


def _check_sampling(arguments: argparse.Namespace) -> None:
    rules = {
        "length": (0 <= arguments.length < 2**31, "be >= 0 and below 2^31"),
        "min_length": (0 <= arguments.min_length <= arguments.length, "be >= 0 and at most --length"),
        "temperature": (0 <= arguments.temperature < 3.4e38, "be >= 0 and finite"),
        "top_k": (0 <= arguments.top_k < 2**31, "be >= 0 (0: no limit) and below 2^31"),
        "top_p": (0 < arguments.top_p <= 1, "be > 0 and <= 1"),
        "repetition_stop": (0 <= arguments.repetition_stop < 2**31, "be >= 0 (0: never) and below 2^31"),
        "seed": (
            arguments.seed is None or 0 <= arguments.seed <= 2**63 - max(arguments.num, 1),
            "be >= 0 and below 2^63 for each of the texts",
        ),
        "num": (arguments.num >= 1, "be >= 1"),
        "stream": (not (arguments.stream and arguments.json), "come without --json"),
        "corpus": (arguments.corpus is None or arguments.stats, "come with --stats"),
    }
    try:
        arguments.prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"sample: --prompt must be UTF-8. Received: {arguments.prompt!r}.") from error
    for name, (holds, rule) in rules.items():
        if not holds:
            raise UsageError(f"sample: --{name.replace('_', '-')} must {rule}. Received: {getattr(arguments, name)}.")


@ending_at_interrupt()
def _score(arguments: argparse.Namespace) -> int:
    if arguments.files.count("-") > 1:
        raise UsageError("score: FILE must be standard input (-) once. Received: - several times.")
    texts = [_read(file, "score: FILE") for file in arguments.files]
    from components.scorer import Scorer, total
    from pipeline import model_console

    scorer = Scorer(arguments.model)
    scores = [scorer.score(text) for text in texts]
    together = total(scores, texts)
    tokens = [scorer.tokens(text) for text in texts] if arguments.verbose else []
    if arguments.json:
        model_console.show_scores_json(arguments.files, scores, together, tokens)
    else:
        model_console.show_scores(arguments.files, scores, together, tokens)
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    ports = (arguments.port, arguments.grpc_port)
    if not all(0 <= port < 2**16 for port in ports):
        raise UsageError(f"serve: --port and --grpc-port must be in 0 … 65535 (0: a free one). Received: {ports}.")
    if arguments.keep < 1:
        raise UsageError(f"serve: --keep must be 1 or more. Received: {arguments.keep}.")
    api_key = os.environ.get(_API_KEY) if arguments.api_key is None else arguments.api_key
    if api_key == "":
        raise UsageError(f"serve: --api-key must not be empty, nor {_API_KEY}. Leave them out to ask for none.")
    from components.served.folder import version_folder

    version_folder(arguments.model)  # is there one?
    from components.server.limits import Limits
    from components.server.serve import Address, serve
    from pipeline import console

    limits = Limits.parse(arguments.limit)
    address = Address(arguments.host, *ports)
    serve(arguments.model, arguments.name, address, console.say, api_key, limits, arguments.keep)
    return 0


def _bulk(arguments: argparse.Namespace) -> int:
    for name, least in (("workers", 1), ("batch_size", 1), ("longest", 1), ("seed", 0)):
        value = getattr(arguments, name)
        if value is not None and not least <= value < 2**63:
            raise UsageError(f"bulk: --{name.replace('_', '-')} must be >= {least}. Received: {value}.")
    options = {}
    for text in arguments.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"bulk: --set must be NAME=VALUE. Received: {text!r}. Example: --set max_length=500")
        options[name] = value
    from components.heavy_imports import import_quietly
    from pipeline import console

    # Quietly: Beam's inference warns of a client of Google's that it does without.
    summary = import_quietly("components.bulk_inferrer.bulk").infer(
        model=arguments.model,
        files=arguments.files,
        output=arguments.output,
        signature=arguments.signature,
        format=arguments.format,
        field=arguments.field,
        key=arguments.key,
        seed=arguments.seed,
        options=options,
        workers=arguments.workers,
        batch_size=arguments.batch_size,
        longest=arguments.longest,
    )
    console.show_bulk(summary, arguments.output, arguments.json)
    return 0 if summary["answered"] or not summary["read"] else 1


def _read(file: str, what: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{what} must be readable ({error.strerror}). Received: {file!r}.") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} must be UTF-8; byte {error.start} is not. Received: {file!r}.") from error
