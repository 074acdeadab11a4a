"""What the commands print: progress and result of a run, scores, and the lists of runs, stages and recipes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.metadata import FILE_NAME, MetadataStore, RunRecord
from pipeline.stage import Stage
from pipeline.summary import RunSummary, StageResult

if TYPE_CHECKING:
    from components.sampler import Samples
    from components.scorer import TokenScore
    from components.served.novelty import Copied

Start = Callable[..., RunSummary]


def show_run(start: Start, title: str, as_json: bool = False) -> RunSummary:
    """Starts a run and shows its progress and result; with `as_json` on stderr, and the JSON object on stdout.

    Args:
        start: Runs with the listener it is given as `on_event`.
        title: First line.
        as_json: Whether stdout is for the JSON object alone.
    """
    untold = [title]  # until something happens: a refused request shows its message alone

    def listen(result: StageResult) -> None:
        while untold:
            say(untold.pop())
        _show_stage(result)

    with _stdout_to_stderr() if as_json else contextlib.nullcontext():
        summary = start(on_event=listen)
        _show_result(summary)
    if as_json:
        print(json.dumps(summary.to_json(), ensure_ascii=False))
    return summary


def say(text: str = "") -> None:
    """Prints a line at once, also when stdout is a file."""
    print(text, flush=True)


def _show_stage(result: StageResult) -> None:
    if result.status == "running":
        say(f"  {result.name} …")
    else:
        seconds = _duration(result.seconds) if result.seconds >= 0.05 else ""
        say(f"  {result.name:<18}{result.status:<8}{seconds}".rstrip())


def _show_result(summary: RunSummary) -> None:
    texts = (
        ("tuning", "best_hyperparameters", "report.txt"),
        ("evaluation", "evaluation", "report.txt"),
        ("comparison", "blessing", "comparison.txt"),
        ("sample", "infra_blessing", "sample.txt"),
    )
    for title, key, file in texts:
        path = summary.output(key, file)
        if path is not None:
            say(f"\n--- {title} ({_short(path)})")
            say(path.read_text("utf-8", errors="replace").rstrip("\n"))
    pages = (("Statistics of the corpus", "statistics", "statistics.html"), ("The training", "model", "training.html"))
    found = [(title, summary.output(key, file)) for title, key, file in pages]
    shown = [f"{title}: {_short(page)}" for title, page in found if page is not None]
    if shown:
        say("\n" + "\n".join(shown))
    if summary.status == "not_blessed":
        say("\nNot blessed, nothing pushed:")
        for reason in summary.reasons:
            say(f"  {reason}")
    pushed = summary.pushed_model()
    if pushed is not None:
        say(f"\nPushed: {pushed}")
    if pushed is not None and "bits_per_char" in summary.metrics().get("eval", {}):  # a model that writes texts
        say(f"Try:    python run_pipeline.py sample --model {shlex.quote(_short(Path(pushed).parent))} --stream")


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Sends what this process, its libraries and its children print on stdout to stderr."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


# ---- Texts of a model -----------------------------------------------------------------------------------------------

_BETWEEN_TEXTS = "\n\n"


def show_texts(written: Samples) -> None:
    """Shows texts."""
    print(_BETWEEN_TEXTS.join(sample.text for sample in written.samples))


class TextStream:
    """Shows texts as `show_texts` does, but for the last line end, piece by piece."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, number: int, piece: str) -> None:
        """Prints a piece of text `number` at once."""
        print(_BETWEEN_TEXTS * (number - self._number) + piece, end="", flush=True)
        self._number = number


def show_samples_json(written: Samples, copies: Sequence[Copied] | None) -> None:
    """Prints texts, what is known of them, and what they copied."""
    samples = [{"text": sample.text, **dataclasses.asdict(sample)} for sample in written.samples]
    for sample, copied in zip(samples, copies or (), strict=bool(copies)):
        sample["copied"] = dataclasses.asdict(copied)
    speed = {"seconds": written.seconds, "characters_per_second": written.characters_per_second}
    print(json.dumps({**speed, "samples": samples}, ensure_ascii=False))


def show_statistics(written: Samples, copies: Sequence[Copied] | None) -> None:
    """Tells on stderr, as stdout has the texts, how they came about."""
    for number, sample in enumerate(written.samples):
        drawn = sample.tokens + sample.finished
        ended = "<end>" if sample.finished else "repetition" if sample.repeated else "length"
        mean = f"{sample.log_prob / drawn:.4f}" if drawn else "none"
        lines = [
            f"text {number + 1}: seed {sample.seed}",
            f"  {'tokens':<12}{sample.tokens}, ended by {ended}",
            f"  {'ln p':<12}{mean} per token",
            f"  {'copied':<12}"
            + ("unknown; give --corpus FILE" if copies is None else _shown_copy(copies[number], sample.continuation)),
        ]
        print("\n".join(lines), file=sys.stderr)
    speed = f"{written.characters_per_second:.0f} characters/s"
    print(f"{speed} ({written.seconds:.2f} s for all texts)", file=sys.stderr, flush=True)


def _shown_copy(copied: Copied, text: str) -> str:
    if not copied.span:
        return "nothing"
    span = copied.span if len(copied.span) <= 80 else f"{copied.span[:40]} … {copied.span[-39:]}"
    return f"{len(copied.span)} of {len(text)} characters: {span!r} ({copied.source}, line {copied.line})"


def show_scores(
    files: Sequence[str],
    scores: Sequence[Mapping[str, Any]],
    together: Mapping[str, Any],
    tokens: Sequence[Iterable[TokenScore]],
) -> None:
    """Shows the scores of some texts: of one as lines, of several as a table, with `tokens` those of each token first.

    Args:
        files: Names.
        scores: nats, bits_per_char, perplexity and tokens of each.
        together: The same of all.
        tokens: Of each text, or none.
    """
    for file, found in zip(files, tokens, strict=bool(tokens)):
        if len(files) > 1:
            print(f"--- {file}")
        _show_tokens(found)
        print()
    shown = [
        {name: f"{value:.6f}" if isinstance(value, float) else str(value) for name, value in score.items()}
        for score in (*scores, together)
    ]
    if len(files) == 1:
        for name, value in shown[0].items():
            print(f"{name:<15}{value}")
        return
    rows = [(file, *score.values()) for file, score in zip((*files, "all"), shown, strict=True)]
    _show_table([("file", *shown[0]), *rows])


def _show_tokens(tokens: Iterable[TokenScore]) -> None:
    print(f"{'':>7}  {'token':<14}{'p':>8}{'bits':>8}{'rank':>7}  likeliest other")
    for place, token in enumerate(tokens, 1):
        figures = f"{token.p:>8.4f}{token.bits:>8.2f}{token.rank:>7}"
        other = f"{_quoted(token.alternative):<14}{token.alternative_p:.4f}"
        print(f"{place:>7}  {_quoted(token.token):<14}{figures}  {other}")


def _quoted(token: str) -> str:
    """A token as it can be seen: a space, a line end; a special as it is."""
    if token.startswith("<") and token.endswith(">") and len(token) > 2:
        return token
    return f"'{token}'" if token.isprintable() else repr(token)


def show_scores_json(
    files: Sequence[str],
    scores: Sequence[Mapping[str, Any]],
    together: Mapping[str, Any],
    tokens: Sequence[Iterable[TokenScore]],
) -> None:
    """Prints the scores of all texts together; of several also those of each, in `files`; see `show_scores`."""
    records = [{"file": file, **score} for file, score in zip(files, scores, strict=True)]
    for record, found in zip(records, tokens, strict=bool(tokens)):
        record["per_token"] = [_token_json(token) for token in found]
    shown = dict(together)
    if len(files) > 1:
        shown["files"] = records
    elif tokens:
        shown["per_token"] = records[0]["per_token"]
    print(json.dumps(shown, ensure_ascii=False))


def _token_json(token: TokenScore) -> dict[str, Any]:
    more = {"p": token.p, "bits": token.bits, "alternative_p": token.alternative_p}
    return {**dataclasses.asdict(token), **more}


# ---- Lists ----------------------------------------------------------------------------------------------------------


def show_bulk(summary: Mapping[str, Any], output: Path, as_json: bool) -> None:
    """Shows how many records were answered, and where the answers are."""
    if as_json:
        print(json.dumps(dict(summary), ensure_ascii=False))
        return
    bad = f", {summary['bad']:,} bad ({_short(output / 'bad_records.jsonl')})" if summary["bad"] else ""
    speed = f"{summary['tokens']:,} tokens, {summary['tokens_per_second']:,.0f} a second"
    say(f"{summary['read']:,} records read, {summary['answered']:,} answered{bad}; {speed}: {_short(output)}")


def show_runs(roots: Sequence[Path], as_json: bool) -> None:
    """Shows the runs of each root that has any, oldest first."""
    found: list[tuple[Path, RunRecord]] = []
    for root in roots:
        if (root / FILE_NAME).is_file():
            with MetadataStore(root, read_only=True) as store:
                found += [(root, record) for record in store.runs()]
    if as_json:
        print(json.dumps({"runs": [_run_json(root, record) for root, record in found]}, ensure_ascii=False))
        return
    rows = [
        (
            str(root),
            str(record.id),
            _moment(record.started),
            "" if record.seconds is None else _duration(record.seconds),
            record.state,
            _count(record),
            record.config_path,
        )
        for root, record in found
    ]
    if not rows:
        print("No runs yet.")
        return
    _show_table([("root", "run", "started", "time", "status", "stages", "config"), *rows])


def _run_json(root: Path, record: RunRecord) -> dict[str, Any]:
    return {
        "root": str(root.resolve()),
        "run_id": record.id,
        "started": _moment(record.started),
        "seconds": None if record.seconds is None else round(record.seconds, 3),
        "status": record.state,
        "stages": dict(record.stages),
        "config": record.config_path,
    }


def _count(record: RunRecord) -> str:
    statuses = list(record.stages.values())
    counts = [(statuses.count(status), status) for status in ("ran", "cached", "failed", "skipped")]
    return ", ".join(f"{count} {status}" for count, status in counts if count)


def show_stages(stages: Sequence[type[Stage]]) -> None:
    """Shows what each stage reads, writes and does."""
    for stage in stages:
        reads, writes = ", ".join(stage.inputs) or "(the corpus)", ", ".join(stage.outputs)
        print(f"{stage.stage_name():<19}{reads} → {writes}")
        print(f"{'':<19}{(stage.__doc__ or '').strip().partition(chr(10))[0]}")


def show_recipes(files: Sequence[Path]) -> None:
    """Shows each recipe's name and its first comment line."""
    rows = []
    for file in files:
        comments = (line.strip() for line in file.read_text("utf-8").splitlines())
        rows.append((file.stem, next((line.lstrip("# ") for line in comments if line.startswith("#")), "")))
    _show_table(rows)


def show_demonstrations(standard: Mapping[str, str], long: Mapping[str, str]) -> None:
    """Shows the names of the laboratory's demonstrations, and what each shows."""
    _show_table([*standard.items(), *long.items()])
    print(f"Without names, all but {' and '.join(long)} run.")


def _show_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{seconds:.1f} s"
