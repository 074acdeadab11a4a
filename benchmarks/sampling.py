"""Texts written side by side: `python -m benchmarks.sampling` prints a table and, last, one line of JSON.

Every contender lives in a process of its own and writes texts of 200 characters with the same network: the engine of
`sample` and of the server, the SavedModel's own `generate`, and a loop around PyTorch's nn.RNN. Their most likely texts
are compared before anything is timed. Then they take turns, round after round; medians over the rounds are reported.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from benchmarks.workload import VOCABULARY, Size, weights

SIZES = {"3x512": Size(layers=3, units=512, batch=1, timesteps=200), "2x256": Size(2, 256, 1, 200)}
BATCHES = (1, 16, 64)
LENGTH = 200
PROMPT_LENGTH = 1000
ENGINE, SAVED_MODEL, TORCH = "this, engine", "this, SavedModel", "PyTorch nn.RNN loop"
# (texts, whether the most likely ones) → their ids [texts, LENGTH]
Write = Callable[[int, bool], np.ndarray]


def export(size: Size, folder: Path) -> None:
    """Writes a SavedModel of the workload's weights that never ends a text."""
    from components.exporter.stage import Exporter
    from components.tasks import files
    from components.tasks.language_model import LanguageModel
    from components.transform.tokenizers import IDENTITY, CharTokenizer
    from pipeline.config import PipelineConfig

    model = LanguageModel(VOCABULARY, size.units, size.layers)
    model.set_weights(_weights(size))
    tokenizer = CharTokenizer(("end",), IDENTITY, "".join(map(chr, range(33, 32 + VOCABULARY))))
    files.save(model, folder)
    tokenizer.save(folder)
    output = folder / "exported_model"
    output.mkdir()
    inputs = dict.fromkeys(Exporter.inputs, folder)
    Exporter(PipelineConfig(name="rnn")).run(inputs, {"exported_model": output}, folder)


def _weights(size: Size) -> list[np.ndarray]:
    arrays = weights(size)
    arrays[-1] = arrays[-1].copy()
    arrays[-1][0] = -50.0  # <end> never comes
    return arrays


def engine(size: Size, model: Path) -> tuple[Write, Callable[[], float]]:
    """The engine of `sample` and of the server. Also returns what times the first character after a long prompt."""
    from components.served.engine import Engine
    from components.served.language import ServedLanguageModel
    from components.served.request import TextRequest

    served = ServedLanguageModel(model)
    engine = Engine(served)
    engine.warm_up()

    def write(count: int, greedy: bool) -> np.ndarray:
        temperature = 0.0 if greedy else 1.0
        texts = [engine.add(TextRequest("", LENGTH, temperature=temperature, seed=i)) for i in range(count)]
        while engine.turn():
            pass
        return np.stack([served.tokenizer.encode(text.take()) for text in texts])

    def first_character() -> float:
        start = time.perf_counter()
        text = engine.add(TextRequest("abcdefghij" * (PROMPT_LENGTH // 10), 100))
        while not text.take():
            engine.turn()
        seconds = time.perf_counter() - start
        engine.cancel(text)
        return seconds

    return write, first_character


def saved_model(size: Size, model: Path) -> Write:
    """The signature `generate`, whose loop is in the graph, without XLA."""
    import tensorflow as tf

    from components.served.folder import load_signatures
    from components.transform import tokenizers

    generate = load_signatures(model)["generate"]
    tokenizer = tokenizers.load(model / "assets")

    def write(count: int, greedy: bool) -> np.ndarray:
        outputs = generate(
            prompt=tf.constant([""] * count),
            max_length=tf.constant([LENGTH]),
            temperature=tf.constant([0.0 if greedy else 1.0]),
            top_k=tf.constant([0]),
            top_p=tf.constant([1.0]),
            seed=tf.range(count, dtype=tf.int64),
        )
        return np.stack([tokenizer.encode(text.decode()) for text in outputs["text"].numpy()])

    return write


def torch_loop(size: Size) -> Write:
    """nn.RNN a character at a time, one-hot inputs, softmax and multinomial."""
    import torch

    arrays = [torch.tensor(array, dtype=torch.float32) for array in _weights(size)]
    rnn = torch.nn.RNN(VOCABULARY, size.units, size.layers, batch_first=True)
    with torch.no_grad():
        for layer in range(size.layers):
            kernel, recurrent_kernel, bias = arrays[3 * layer : 3 * layer + 3]
            getattr(rnn, f"weight_ih_l{layer}").copy_(kernel.T)
            getattr(rnn, f"weight_hh_l{layer}").copy_(recurrent_kernel.T)
            getattr(rnn, f"bias_ih_l{layer}").copy_(bias)
            getattr(rnn, f"bias_hh_l{layer}").zero_()
    readout, bias = arrays[-2].contiguous(), arrays[-1]
    one_hot = torch.eye(VOCABULARY)

    def write(count: int, greedy: bool) -> np.ndarray:
        with torch.inference_mode():
            token = torch.zeros(count, dtype=torch.long)
            state = torch.zeros(size.layers, count, size.units)
            written = []
            for _ in range(LENGTH):
                outputs, state = rnn(one_hot[token][:, None], state)
                logits = torch.addmm(bias, outputs[:, 0], readout)
                token = logits.argmax(1) if greedy else torch.multinomial(torch.softmax(logits, 1), 1)[:, 0]
                written.append(token)
            return torch.stack(written, 1).numpy()

    return write


def child(name: str, size: Size, model: Path) -> None:
    """Answers lines: `greedy N`, `time N`, `first`."""
    first: Callable[[], float] | None = None
    if name == ENGINE:
        write, first = engine(size, model)
    else:
        write = saved_model(size, model) if name == SAVED_MODEL else torch_loop(size)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        what, _, count = line.strip().partition(" ")
        answer: Any
        if what == "greedy":
            answer = write(int(count), True).tolist()
        elif what == "first" and first is not None:
            answer = first()
        else:
            start = time.perf_counter()
            write(int(count), False)
            answer = time.perf_counter() - start
        print(json.dumps(answer), flush=True)


class Contender:
    """A contender's process."""

    def __init__(self, name: str, size: str, model: Path) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sampling", "--child", name, "--sizes", size, "--model", str(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def ask(self, line: str) -> Any:
        """Sends a line and returns the answer."""
        questions = cast(IO[str], self._process.stdin)
        questions.write(line + "\n")
        questions.flush()
        return self._read()

    def _read(self) -> Any:
        answer = cast(IO[str], self._process.stdout).readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended with exit code {self._process.wait()}.")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def measure(name: str, batches: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Times all contenders in turn, for each number of texts at once."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        export(SIZES[name], Path(folder))
        contenders = [Contender(n, name, Path(folder, "exported_model")) for n in (ENGINE, SAVED_MODEL, TORCH)]
        texts = [contender.ask("greedy 2") for contender in contenders]
        if not texts[0] == texts[1] == texts[2]:
            raise RuntimeError("The contenders must write the same most likely text.")
        for batch in batches:
            seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
            for turn in range(rounds + 1):
                for contender in contenders if turn % 2 == 0 else reversed(contenders):
                    seconds[contender.name].append(contender.ask(f"time {batch}"))
            measured = {name: values[1:] for name, values in seconds.items()}  # the first turn is not counted
            for contender in contenders:
                own = measured[contender.name]
                results.append(
                    {
                        "size": name,
                        "texts": batch,
                        "contender": contender.name,
                        "ms": 1e3 * statistics.median(own),
                        "chars_per_s": batch * LENGTH / statistics.median(own),
                        "torch/this": statistics.median(t / s for t, s in zip(measured[TORCH], own, strict=True)),
                    }
                )
        first = statistics.median(contenders[0].ask("first") for _ in range(rounds))
        results.append({"size": name, "first_character_after": PROMPT_LENGTH, "ms": 1e3 * first})
        for contender in contenders:
            contender.close()
    return results


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="default: all")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES, help="texts at once (default: 1 16 64)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender (default: 7)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, SIZES[arguments.sizes[0]], arguments.model)
        return
    results: list[dict[str, Any]] = []
    for name in arguments.sizes:
        print(f"{name}, {LENGTH} characters a text, {time.strftime('%Y-%m-%d')}", flush=True)
        print(f"  {'contender':24}{'texts':>6}{'ms':>9}{'chars/s':>11}{'PyTorch/this':>14}", flush=True)
        for row in measure(name, arguments.batches, arguments.rounds):
            results.append(row)
            if "contender" in row:
                print(f"  {row['contender']:24}{row['texts']:6}{row['ms']:9.1f}{row['chars_per_s']:11,.0f}"
                      f"{row['torch/this']:14.2f}", flush=True)  # fmt: skip
            else:
                print(f"  first character after a prompt of {PROMPT_LENGTH}: {row['ms']:.1f} ms", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
