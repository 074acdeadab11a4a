"""Training steps side by side: `python -m benchmarks.training` prints a table and, last, one line of JSON.

Every contender lives in a process of its own and computes the same step on the same weights and data: forward, loss,
backward, clipping by global norm, Adam. Their first losses are compared before anything is timed. Then they take turns,
round after round, so that a slow phase of the machine meets all of them; medians over the rounds are reported.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO, Any, cast

import numpy as np

from benchmarks.contenders import CONTENDERS, GEMM
from benchmarks.workload import Size

SIZES = {
    "3x512": Size(layers=3, units=512, batch=64, timesteps=64),
    "2x128": Size(layers=2, units=128, batch=32, timesteps=64),
    "1x500": Size(layers=1, units=500, batch=32, timesteps=150),
    "3x512-bf16": Size(layers=3, units=512, batch=64, timesteps=64, precision="bfloat16"),
}
# What else the time of a step depends on, one axis at a time around one size.
BASE = Size(layers=1, units=256, batch=32, timesteps=64)
GROWTH = {
    "timesteps": [dataclasses.replace(BASE, timesteps=t) for t in (64, 128, 256, 512, 1024)],
    "batch": [dataclasses.replace(BASE, batch=b) for b in (8, 32, 128, 512)],
    "units": [dataclasses.replace(BASE, units=u) for u in (64, 128, 256, 512, 1024)],
}
GROWTH_CONTENDERS = ["VanillaRNN, TensorFlow XLA", "VanillaRNN, JAX", "SimpleRNN, TensorFlow", "PyTorch nn.RNN"]
PEAK = "SGEMM"
STOCK = "SimpleRNN, TensorFlow"  # the start of the names of its variants
# Equal in float32 to its rounding; bfloat16 keeps 8 bits of a logit.
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}


class Contender:
    """A contender's process, its measurements and what went wrong."""

    def __init__(self, name: str, size: Size) -> None:
        self.name = name
        self.seconds: list[float] = []  # per step, one for each round
        self.peak_mib = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.contenders", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._questions, self._answers = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
        answer = self._ask(json.dumps(dataclasses.asdict(size)))
        self.losses, self.compile_s = answer["losses"], answer["compile_s"]

    def time(self, steps: int) -> float:
        """Runs some steps and returns the seconds of one."""
        answer = self._ask(str(steps))
        self.peak_mib = answer["peak_mib"]
        return float(answer["seconds"]) / steps

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, line: str) -> dict[str, Any]:
        self._questions.write(line + "\n")
        self._questions.flush()
        answer = self._answers.readline()
        if not answer:
            _, errors = self._process.communicate()
            raise RuntimeError(f"{self.name}: {errors.strip().splitlines()[-1] if errors.strip() else 'it died'}")
        return json.loads(answer)


def measure(size: Size, names: Sequence[str], rounds: int, seconds: float) -> list[Contender]:
    """Times contenders in turn.

    Args:
        size: What they compute.
        names: Who takes part; one that cannot start (PyTorch is not installed, say) is named and left out.
        rounds: How often each gets its turn.
        seconds: About how long a turn lasts.
    """
    contenders = []
    for name in names:
        try:
            contenders.append(Contender(name, size))
        except RuntimeError as error:
            say(f"  left out: {error}")
    check_losses(size, contenders)
    steps = {c.name: max(1, round(seconds / c.time(1))) for c in contenders}  # the first timed step is not counted
    for turn in range(rounds):
        # Now from the front, now from the back: nobody always comes after the same neighbour.
        for contender in contenders if turn % 2 == 0 else reversed(contenders):
            contender.seconds.append(contender.time(steps[contender.name]))
    for contender in contenders:
        contender.close()
    return contenders


def check_losses(size: Size, contenders: Sequence[Contender]) -> None:
    """Raises RuntimeError if two contenders do not compute the same loss, before and after an update."""
    first = {c.name: c.losses[0] for c in contenders if c.name != PEAK}
    # nn.RNN has two biases a layer, and Adam moves each of them: its second loss is another.
    second = {c.name: c.losses[1] for c in contenders if c.name not in (PEAK, "PyTorch nn.RNN")}
    for losses in (first, second):
        values = list(losses.values())
        if values and not np.ptp(values) < TOLERANCE[size.precision]:  # NaN is refused, too
            raise RuntimeError(f"The contenders must compute the same loss. Received: {losses}.")


def rows(size: Size, contenders: Sequence[Contender]) -> list[dict[str, Any]]:
    """Medians of each contender; its share of the peak is taken round by round, then its median."""
    peaks = next(([2 * GEMM**3 / s / 1e9 for s in c.seconds] for c in contenders if c.name == PEAK), [])
    results = []
    for contender in contenders:
        if contender.name == PEAK:
            continue
        rates = [size.flops / seconds / 1e9 for seconds in contender.seconds]
        results.append(
            {
                "contender": contender.name,
                "size": str(size),
                "ms": 1e3 * statistics.median(contender.seconds),
                "chars_per_s": size.characters / statistics.median(contender.seconds),
                "gflops": statistics.median(rates),
                "peak_fraction": statistics.median(r / p for r, p in zip(rates, peaks, strict=True)) if peaks else None,
                "compile_s": contender.compile_s,
                "peak_mib": contender.peak_mib,
            }
        )
    return results


def ratios(contenders: Sequence[Contender]) -> dict[str, float]:
    """How many times as fast the first contender is as each other: the median over the rounds.

    Where several variants of SimpleRNN on TensorFlow took part, the fastest of them is named once more.
    """
    if all(c.name == PEAK for c in contenders):
        return {}
    first, *others = [c for c in contenders if c.name != PEAK]
    speedups = {
        other.name: statistics.median(b / a for a, b in zip(first.seconds, other.seconds, strict=True))
        for other in others
    }
    variants = [speedup for name, speedup in speedups.items() if name.startswith(STOCK)]
    return speedups | ({f"{STOCK}, its fastest variant": min(variants)} if len(variants) > 1 else {})


def show(results: Sequence[dict[str, Any]], speedups: dict[str, float]) -> None:
    """Prints the table of one size."""
    say(f"  {'contender':36}{'ms/step':>9}{'chars/s':>11}{'GFLOP/s':>9}{'of peak':>9}{'first/this':>12}"
        f"{'start, s':>10}{'MiB':>7}")  # fmt: skip
    for row in results:
        share = "" if row["peak_fraction"] is None else f"{row['peak_fraction']:.0%}"
        speedup = f"{speedups[row['contender']]:.2f}" if row["contender"] in speedups else ""
        say(f"  {row['contender']:36}{row['ms']:9.1f}{row['chars_per_s']:11,.0f}{row['gflops']:9.1f}{share:>9}"
            f"{speedup:>12}{row['compile_s']:10.1f}{row['peak_mib']:7.0f}")  # fmt: skip


def show_growth(axis: str, results: Sequence[dict[str, Any]]) -> None:
    """Prints milliseconds a step, a row a contender, a column a size along the axis."""
    sizes = [str(size) for size in GROWTH[axis]]
    say(f"{axis}, ms a step" + "".join(f"{size:>16}" for size in sizes))
    for name in dict.fromkeys(row["contender"] for row in results):
        milliseconds = {row["size"]: row["ms"] for row in results if row["contender"] == name}
        say(f"  {name:30}" + "".join(f"{milliseconds[size]:16.1f}" for size in sizes))


def say(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES), help="default: all")
    parser.add_argument("--growth", nargs="*", choices=GROWTH, default=list(GROWTH), help="axes; default: all")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="default: all")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender (default: 7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long a turn lasts (default: 2)")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    speedups: dict[str, dict[str, float]] = {}
    for name in arguments.sizes:
        size = SIZES[name]
        say(f"{size}, {time.strftime('%Y-%m-%d')}")
        contenders = measure(size, arguments.contenders, arguments.rounds, arguments.seconds)
        speedups[str(size)] = ratios(contenders)
        results += rows(size, contenders)
        show(rows(size, contenders), speedups[str(size)])
    growth: dict[str, list[dict[str, Any]]] = {}
    for axis in arguments.growth:
        names = [name for name in GROWTH_CONTENDERS if name in arguments.contenders]
        growth[axis] = []
        for size in GROWTH[axis]:
            growth[axis] += rows(size, measure(size, names, rounds=3, seconds=arguments.seconds / 4))
        show_growth(axis, growth[axis])
    say(json.dumps({"results": results, "ratios": speedups, "growth": growth}))


if __name__ == "__main__":
    main()
