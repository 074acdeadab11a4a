"""The tasks by name."""

from __future__ import annotations

from components.tasks.captioning import Captioner
from components.tasks.classification import Classifier
from components.tasks.example_task import ExampleModel
from components.tasks.language_model import LanguageModel
from components.tasks.regression import SequenceRegressor
from components.tasks.seq2seq import Seq2Seq
from components.tasks.tagging import Tagger
from components.tasks.task import TaskModel

_MODELS: tuple[type[ExampleModel], ...] = (Classifier, Tagger, Seq2Seq, Captioner, SequenceRegressor)
EXAMPLE_TASKS: dict[str, type[ExampleModel]] = {model.task: model for model in _MODELS}


def model_class(task: str) -> type[TaskModel]:
    """The class of a task's models.

    Raises:
        ValueError: There is no such task.
    """
    known: dict[str, type[TaskModel]] = {LanguageModel.task: LanguageModel, **EXAMPLE_TASKS}
    if task not in known:
        raise ValueError(
            f"Model: task must be one of {', '.join(known)}. Received: task={task!r}. Run the trainer stage again."
        )
    return known[task]
