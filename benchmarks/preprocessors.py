"""One way of turning text into windows of token ids: `python -m benchmarks.preprocessors NAME CORPUS OUTPUT`.

CORPUS is a folder of text files, also as an Examples artifact in `CORPUS/examples`. Every way counts the characters,
makes a vocabulary, and writes windows of `WINDOW` + 1 ids. Prints one line of JSON: the seconds of the work alone,
without imports, and the number of tokens.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

WINDOW, LANES = 64, 64


def transform(workers: int) -> Callable[[Path, Path], int]:
    """The Transform stage, in process or in two worker processes."""

    def run(corpus: Path, output: Path) -> int:
        from components.transform.manifest import Manifest
        from components.transform.stage import Transform
        from pipeline.config import BeamConfig, TransformConfig

        beam = BeamConfig(
            direct_num_workers=workers, direct_running_mode="multi_processing" if workers > 1 else "in_memory"
        )
        outputs = {key: output / key for key in Transform.outputs}
        for folder in outputs.values():
            folder.mkdir(parents=True)
        stage = Transform(TransformConfig(window_length=WINDOW, lanes=LANES), beam)
        stage.run({"examples": corpus / "examples"}, outputs, output)
        manifest = Manifest.load(outputs["transformed_examples"])
        return sum(split.tokens for split in manifest.splits.values())

    return run


def huggingface(corpus: Path, output: Path) -> int:
    """HuggingFace datasets and tokenizers: a character-level tokenizer, `map` in two processes."""
    from datasets import load_dataset
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    files = sorted(map(str, corpus.glob("*.txt")))
    cache = str(output / "cache")
    texts = load_dataset("text", data_files=files, sample_by="document", cache_dir=cache, split="train")
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    trainer = trainers.WordLevelTrainer(special_tokens=["<end>", "<unk>", "<pad>"], show_progress=False)
    tokenizer.train_from_iterator((row["text"] for row in texts), trainer)

    def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        ids = [0]
        for encoding in tokenizer.encode_batch(batch["text"]):
            ids += [*encoding.ids, 0]
        return {"tokens": [ids[i : i + WINDOW + 1] for i in range(0, len(ids) - 1, WINDOW)]}

    windows = texts.map(encode, batched=True, batch_size=32, num_proc=2, remove_columns=["text"])
    windows.save_to_disk(str(output / "windows"))
    return len(windows) * WINDOW


def numpy_pass(corpus: Path, output: Path) -> int:
    """One pass of NumPy over the whole text in memory: what can hardly be done faster."""
    text = "".join(path.read_text("utf-8") for path in sorted(corpus.glob("*.txt")))
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    del text
    seen = np.flatnonzero(np.bincount(codes))
    table = np.zeros(seen[-1] + 1, np.uint8)
    table[seen] = np.arange(len(seen)) + 3
    ids = table[codes]
    count = (len(ids) - 1) // WINDOW
    np.save(output / "windows.npy", np.lib.stride_tricks.sliding_window_view(ids, WINDOW + 1)[::WINDOW][:count])
    return len(ids)


def python_loop(corpus: Path, output: Path) -> int:
    """A Python loop over characters, counting and then looking up, as torch-rnn's preprocess.py goes about it."""
    token_to_idx: dict[str, int] = {}
    total = 0
    files = sorted(corpus.glob("*.txt"))
    for path in files:
        with path.open(encoding="utf-8", newline="") as lines:
            for line in lines:
                total += len(line)
                for character in line:
                    if character not in token_to_idx:
                        token_to_idx[character] = len(token_to_idx) + 3
    ids = np.zeros(total, np.uint8)
    index = 0
    for path in files:
        with path.open(encoding="utf-8", newline="") as lines:
            for line in lines:
                for character in line:
                    ids[index] = token_to_idx[character]
                    index += 1
    count = (len(ids) - 1) // WINDOW
    np.save(output / "windows.npy", np.lib.stride_tricks.sliding_window_view(ids, WINDOW + 1)[::WINDOW][:count])
    return total


PREPROCESSORS: dict[str, Callable[[Path, Path], int]] = {
    "Transform, in process": transform(1),
    "Transform, 2 workers": transform(2),
    "HuggingFace datasets + tokenizers": huggingface,
    "Python loop": python_loop,
    "NumPy, one pass": numpy_pass,
}
IMPORTS = {
    "Transform, in process": ["components.transform.beam", "components.transform.stage"],
    "Transform, 2 workers": ["components.transform.beam", "components.transform.stage"],
    "HuggingFace datasets + tokenizers": ["datasets", "tokenizers"],
}


def main(name: str, corpus: Path, output: Path) -> None:
    """Does the work once."""
    os.environ |= {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    for module in IMPORTS.get(name, []):
        __import__(module)
    started = time.perf_counter()
    tokens = PREPROCESSORS[name](corpus, output)
    print(json.dumps({"seconds": time.perf_counter() - started, "tokens": tokens}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
