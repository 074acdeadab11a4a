"""What the commands print: progress and result of a run, and the lists of runs, stages and recipes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.collect import Garbage
from pipeline.decision import FIRST_TIME
from pipeline.metadata import FILE_NAME, MetadataStore, RunRecord
from pipeline.project import Texts
from pipeline.runner import Explanation
from pipeline.stage import Stage
from pipeline.stage_log import last_lines
from pipeline.summary import RunSummary, StageResult, report_of

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
        why = f" ({result.reason})" if result.reason not in ("", FIRST_TIME) else ""
        say(f"  {result.name} …{why}")
    elif result.status == "repaired":
        say(f"  {result.name:<18}{result.reason}")
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
    shown += [f"All of it: {_short(summary.report)}"] if summary.report is not None else []
    if shown:
        say("\n" + "\n".join(shown))
    if summary.log is not None:
        lines = last_lines(summary.log)
        failed = next((stage.name for stage in summary.stages if stage.status == "failed"), "the stage")
        say(f"\nThe log of {failed}: {_short(summary.log)}" + (", which ends with" if lines else ""))
        for line in lines:
            say(f"  {line}")
    if summary.status == "not_blessed":
        say("\nNot blessed, nothing pushed:")
        for reason in summary.reasons:
            say(f"  {reason}")
    pushed = summary.pushed_model()
    if pushed is not None:
        say(f"\nPushed: {pushed}")
    # A model that writes texts, in a folder: `sample` reads no URL.
    if pushed is not None and "://" not in pushed and "bits_per_char" in summary.metrics().get("eval", {}):
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


# ---- Lists ----------------------------------------------------------------------------------------------------------


def show_bulk(summary: Mapping[str, Any], output: Path, as_json: bool) -> None:
    """Shows how many records were answered, and where the answers are."""
    if as_json:
        print(json.dumps(dict(summary), ensure_ascii=False))
        return
    bad = f", {summary['bad']:,} bad ({_short(output / 'bad_records.jsonl')})" if summary["bad"] else ""
    speed = f"{summary['tokens']:,} tokens, {summary['tokens_per_second']:,.0f} a second"
    say(f"{summary['read']:,} records read, {summary['answered']:,} answered{bad}; {speed}: {_short(output)}")


def show_project(config: Path, texts: Texts) -> None:
    """Shows what a new project is made of, and what to do next."""
    path = shlex.quote(_short(config.absolute()))
    say(f"{path}: {texts.size} ({texts.source})")
    say(f"Next:  python run_pipeline.py run --config {path}")


def show_explanations(explanations: Sequence[Explanation], as_json: bool) -> None:
    """Shows for each stage whether it would run, and why."""
    if as_json:
        print(json.dumps({"stages": [dataclasses.asdict(one) for one in explanations]}, ensure_ascii=False))
    else:
        show_table([(one.name, "runs" if one.runs else "-", one.reason) for one in explanations])


def show_garbage(garbage: Sequence[Garbage], root: Path, deleted: bool, as_json: bool) -> None:
    """Shows what can go, or went, and how large it is."""
    total = sum(found.size for found in garbage)
    if as_json:
        paths = [{"path": str(found.path.relative_to(root)), "bytes": found.size} for found in garbage]
        print(json.dumps({"deleted": deleted, "bytes": total, "garbage": paths}, ensure_ascii=False))
        return
    if garbage:
        show_table([(f"{found.size / 1e6:12,.3f} MB", str(found.path.relative_to(root))) for found in garbage])
    hint = "" if deleted or not garbage else " To remove it, repeat the command with --delete."
    print(f"{total / 1e6:,.3f} MB {'removed' if deleted else 'can go'}.{hint}")


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
            moment(record.started),
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
    show_table([("root", "run", "started", "time", "status", "stages", "config"), *rows])


def _run_json(root: Path, record: RunRecord) -> dict[str, Any]:
    report = report_of(root.resolve(), record.id)
    return {
        "root": str(root.resolve()),
        "run_id": record.id,
        "started": moment(record.started),
        "seconds": None if record.seconds is None else round(record.seconds, 3),
        "status": record.state,
        "stages": dict(record.stages),
        "config": record.config_path,
        "report": str(report) if report.is_file() else None,
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
    show_table(rows)


def show_demonstrations(standard: Mapping[str, str], long: Mapping[str, str]) -> None:
    """Shows the names of the laboratory's demonstrations, and what each shows."""
    show_table([*standard.items(), *long.items()])
    print(f"Without names, all but {' and '.join(long)} run.")


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of cells in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def moment(seconds: float) -> str:
    """A time, in seconds since 1970, as date and time of day here."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{seconds:.1f} s"
