"""A small training in a process of its own, for tests that kill it: `python -m … FOLDER [STEP [MOMENT]]`.

FOLDER holds `lanes`; checkpoints lie in `work`, results in `output` and `outcome.json`. With STEP, the process kills
itself with SIGKILL right before it would take that update; with MOMENT, while it saves the checkpoint of that step:
before the file is on the disk (`sync`), before it gets its name (`rename`), before an older one goes (`rotate`).
"""

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

from components.tasks.language_model import LanguageModel
from components.trainer.checkpoints import Checkpoint, CheckpointStore
from components.trainer.corpus import Corpus
from components.trainer.loop import train
from components.trainer.steps import LaneSteps
from components.trainer.training import Training
from components.transform.reader import LaneReader
from components.transform.tokenizers import IDENTITY, CharTokenizer
from pipeline.config import OptimizerConfig, TrainerConfig

VOCABULARY = CharTokenizer(("end", "unk", "pad"), IDENTITY, "abcd")
OPTIMIZER = OptimizerConfig(
    learning_rate=0.02,
    schedule="exponential",
    warmup_steps=3,
    clipvalue=0.5,
    clipnorm=0.4,
    global_clipnorm=0.5,
    gradient_noise=1e-4,
    weight_decay=0.01,
    ema=0.9,
)
CONFIG = TrainerConfig(
    epochs=3,
    update_interval=4,
    truncation_length=7,
    save_every_steps=3,
    save_every_seconds=None,
    diagnostics=False,
    optimizer=OPTIMIZER,
)


def read_corpus(folder: Path) -> Corpus:
    eval_stream = LaneReader(folder, "eval", VOCABULARY.end).stream()
    steps = LaneSteps(LaneReader(folder, "train", VOCABULARY.end, 2), CONFIG.update_interval, CONFIG.truncation_length)
    return Corpus(steps, 1.0, eval_stream, len(eval_stream) - 1, VOCABULARY)


def kill_at_update(number: int) -> None:
    take = Training._take

    def killed(training: Training, step: object) -> None:
        if training.step == number:
            os.kill(os.getpid(), signal.SIGKILL)
        take(training, step)

    Training._take = killed


def kill_in_save(number: int, moment: str) -> None:
    save = CheckpointStore.save

    def kill(*arguments: object, **keywords: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def killed(store: CheckpointStore, checkpoint: Checkpoint) -> Path:
        if checkpoint.step == number:
            owner, name = {"sync": (os, "fsync"), "rename": (Path, "replace"), "rotate": (Path, "unlink")}[moment]
            setattr(owner, name, kill)
        return save(store, checkpoint)

    CheckpointStore.save = killed


def main(folder: Path, kill_at: int | None = None, moment: str | None = None) -> None:
    if kill_at is not None:
        kill_at_update(kill_at) if moment is None else kill_in_save(kill_at, moment)
    (folder / "output").mkdir(exist_ok=True)
    model = LanguageModel(len(VOCABULARY), units=5, layers=2, seed=3, input_dropout=0.1, recurrent_dropout=0.2)
    outcome = train(model, read_corpus(folder / "lanes"), CONFIG, folder / "output", folder / "work", {"a": 1})
    (folder / "outcome.json").write_text(json.dumps(dataclasses.asdict(outcome)), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]), *sys.argv[3:])
