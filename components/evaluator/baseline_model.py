"""The last blessed model on the documents of now: with its own vocabulary, and what of it then compares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from components.evaluator.evaluation import Figures
from components.evaluator.examples import example_figures
from components.evaluator.language import language_figures
from components.evaluator.verdict import Baseline
from components.resolver import BlessedModel
from components.tasks.example_task import ExampleModel
from components.tasks.files import load
from components.tasks.generating import GeneratingModel
from components.tasks.task import TaskModel
from components.transform.graph import TARGET
from components.transform.tokenizers import SETTINGS, VOCABULARY

_OTHER_TOKENS = (
    "it has another vocabulary, so that a nat of the one is not for the same token as a nat of the other. Put the "
    "threshold on bits_per_char, or leave out its change"
)
_OTHER_SLICES = "it has another vocabulary, so that a token is not of the same characters. Slice by document or length"


def evaluate_baseline(before: BlessedModel, model: TaskModel, inputs: Mapping[str, Path], beam_width: int) -> Baseline:
    """Evaluates a blessed model on the eval split of now.

    Args:
        before: The blessed model.
        model: That is held against it.
        inputs: Of the Evaluator.
        beam_width: See `EvaluatorConfig`.
    """
    nothing = Figures({}, {})
    then = load(before.model)
    if then.task != model.task:
        why = f"it is of the task {then.task}, this one of {model.task}. Use another --root, or leave out `change`"
        return Baseline(before.name, nothing, {"": why})
    if not isinstance(then, ExampleModel):
        figures = language_figures(then, before.transform_graph, inputs["examples"])
        if _same_tokens(before.transform_graph, inputs["transform_graph"]):
            return Baseline(before.name, figures, {})
        why_not = {"nats": _OTHER_TOKENS, "perplexity": _OTHER_TOKENS, "character": _OTHER_SLICES}
        return Baseline(before.name, figures, why_not)
    if isinstance(then, GeneratingModel) and _kind(before.transform_graph) != _kind(inputs["transform_graph"]):
        why = "its texts are made of other tokens (transform.target), which decide what is counted as right"
        return Baseline(before.name, nothing, {"": why})
    try:
        figures = example_figures(then, before.transform_graph, inputs["examples"], beam_width)
    except KeyError as error:
        why = f"it does not know the class {error}, which the eval split has. Leave out `change` for one run"
        return Baseline(before.name, nothing, {"": why})
    return Baseline(before.name, figures, {})


def _same_tokens(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in (SETTINGS, VOCABULARY))


def _kind(graph: Path) -> object:
    """What of a target's tokenizer decides how its texts are counted: everything but the vocabulary."""
    settings = json.loads((graph / TARGET / SETTINGS).read_text("utf-8"))
    return {key: settings.get(key) for key in ("kind", "normalization", "lowercase")}
