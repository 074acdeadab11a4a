"""A recipe with one key varied, side by side: `python -m benchmarks.variants order --vary model.encoder rnn mean`.

Each variant is a whole run of the pipeline, to the pushed model, in a root folder of its own: a variant that has run is
found there and not run again. Prints a table of what the Evaluator says of eval and test, as Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).resolve().parent.parent


def run(recipe: str, root: Path, settings: Sequence[str]) -> dict[str, Any]:
    """Runs a recipe from the command line and returns its summary.

    Raises:
        RuntimeError: It failed; what it refused to bless counts as done.
    """
    line = [sys.executable, "run_pipeline.py", "run", "--config", recipe, "--root", str(root), "--json"]
    for setting in settings:
        line += ["--set", setting]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False, cwd=_REPOSITORY)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(line)} ended with {done.returncode}.")
    return json.loads(done.stdout.splitlines()[-1])


def table(summaries: Mapping[str, Mapping[str, Any]], metrics: Sequence[str] | None = None) -> str:
    """Returns a row for each variant and split, with 95 % intervals, and one for each baseline.

    Args:
        summaries: Variant → its summary, as `run --json` prints it.
        metrics: Which of the Evaluator's; all that have an interval if it is None.
    """
    first = next(iter(summaries.values()))["metrics"]
    names = list(metrics or next(iter(first.values()))["intervals"])
    lines = [_row(["variant", "split", *names]), _row(["---"] * (2 + len(names)))]
    for split in first:
        for variant, summary in summaries.items():
            found = summary["metrics"][split]
            cells = []
            for name in names:
                low, high = map(_number, found["intervals"][name])
                cells.append(f"{_number(found[name])} ({low} … {high})")
            lines.append(_row([variant, split, *cells]))
        for baseline, figures in first[split]["baselines"].items():
            known = (_number(figures[name]) if name in figures else "" for name in names)
            lines.append(_row([f"*{baseline}*", split, *known]))
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    """Four significant digits; a dash for what the split has nothing to measure on."""
    return "–" if value is None else f"{value:.4g}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the variants and prints their table; arguments as on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", help="as --config of run_pipeline.py")
    parser.add_argument("--vary", nargs="+", required=True, metavar=("KEY", "VALUE"), help="a key, and its values")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for all variants")
    parser.add_argument("--metrics", nargs="+", help="of the Evaluator; default: all")
    parser.add_argument("--root", type=Path, default=Path("runs") / "variants", help="a folder; default: %(default)s")
    given = parser.parse_args(arguments)
    key, *values = given.vary
    if not values:
        parser.error(f"--vary must name a key and one value or more. Received: --vary {key}. Add the values to try.")
    summaries = {}
    for value in values:
        root = (given.root / Path(given.recipe).stem / value).resolve()
        summaries[value] = run(given.recipe, root, [*given.set, f"{key}={value}"])
        seconds = {stage["name"]: stage["seconds"] for stage in summaries[value]["stages"]}
        print(f"{key}={value}: trainer {seconds['trainer']:.0f} s", file=sys.stderr, flush=True)
    print(table(summaries, given.metrics))


if __name__ == "__main__":
    main()
