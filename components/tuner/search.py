"""The search itself, as a function of the seed and of what the trials came to: which values come next, who is pruned.

A search that was stopped is repeated from its beginning with the trials that are known, which takes no time, and then
goes on. So nothing of Optuna has to be stored, and it does not matter when the search was stopped.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from components.tuner.trials import Trial
from pipeline.tuner_config import ParameterConfig, TunerConfig

_STATES = {
    "completed": optuna.trial.TrialState.COMPLETE,
    "pruned": optuna.trial.TrialState.PRUNED,
    "failed": optuna.trial.TrialState.FAIL,
}
# Fewer completed trials say nothing about what matters.
_TRIALS_FOR_IMPORTANCES = 10

Judge = Callable[[float | None], bool]  # told each evaluation of a trial, in order; says whether to prune


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        trials: In order.
        importances: Dotted key → its share in what makes a trial one of the best tenth, adding up to 1; empty when
            there are too few trials. Source: Watanabe, Bansal and Hutter (2023), PED-ANOVA.
    """

    trials: list[Trial]
    importances: dict[str, float]


def search(
    tuner: TunerConfig,
    integers: Mapping[str, bool],
    known: Sequence[Trial],
    run: Callable[[int, dict[str, Any], Judge], Trial],
    on_trial: Callable[[Trial], None],
) -> Found:
    """Runs the trials of a search.

    Args:
        tuner: The search.
        integers: Dotted key → whether its range is one of integers.
        known: Its first trials, if it was stopped.
        run: Runs a trial, given its number and values. Not called for values that were tried before: they would come
            to the same.
        on_trial: Told of each trial that is not known.

    Raises:
        RuntimeError: The known trials are not those of this search.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize", pruner=_pruner(tuner))
    trials: list[Trial] = []
    for number in range(1, tuner.trials + 1):
        study.sampler = _sampler(tuner, number)
        asked = study.ask()
        # Sorted, since the order in the file does not count in the fingerprint either.
        values = {key: _suggest(asked, key, tuner.parameters[key], integers[key]) for key in sorted(tuner.parameters)}
        judge = _judge(asked)
        twin = next((trial for trial in trials if trial.values == values), None)
        if number <= len(known):
            trial = _told_again(known[number - 1], judge)
            if trial.values != values:
                raise RuntimeError(
                    f"Tuner: a search that goes on must repeat its trials. Received: {dict(trial.values)} for trial "
                    f"{number}, now {values}. Begin anew: --force tuner."
                )
        elif twin is not None:
            repeated = dataclasses.replace(
                twin, number=number, seconds=0.0, message=f"the values of trial {twin.number}"
            )
            trial = _told_again(repeated, judge)
            on_trial(trial)
        else:
            trial = run(number, values, judge)
            on_trial(trial)
        trials.append(trial)
        study.tell(asked, trial.bits_per_char if trial.state == "completed" else None, state=_STATES[trial.state])
    return Found(trials, _importances(study))


def _sampler(tuner: TunerConfig, number: int) -> optuna.samplers.BaseSampler:
    # Its own seed for each trial: the values depend on the trials before, not on the draws before.
    seed = int(np.random.SeedSequence([tuner.seed, number]).generate_state(1)[0])
    if tuner.sampler == "random":
        return optuna.samplers.RandomSampler(seed)
    return optuna.samplers.TPESampler(seed=seed)


def _pruner(tuner: TunerConfig) -> optuna.pruners.BasePruner:
    if tuner.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)


def _suggest(asked: optuna.trial.Trial, key: str, parameter: ParameterConfig, integer: bool) -> Any:
    if parameter.choices is not None:
        # Optuna's choices are scalars; ours may be sections.
        return parameter.choices[asked.suggest_categorical(key, range(len(parameter.choices)))]
    low, high, step = parameter.low, parameter.high, parameter.step
    if integer:
        return int(asked.suggest_int(key, low, high, step=step or 1, log=parameter.log))
    return float(asked.suggest_float(key, low, high, step=step, log=parameter.log))


def _judge(asked: optuna.trial.Trial) -> Judge:
    told = 0

    def judge(bits_per_char: float | None) -> bool:
        nonlocal told
        told += 1
        asked.report(math.nan if bits_per_char is None else bits_per_char, told)
        return bool(asked.should_prune())

    return judge


def _told_again(trial: Trial, judge: Judge) -> Trial:
    """The trial, after the pruner has seen what it saw the first time."""
    for _, bits_per_char in trial.evaluations:
        judge(bits_per_char)
    return trial


def _importances(study: optuna.Study) -> dict[str, float]:
    completed = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    if len(completed) < _TRIALS_FOR_IMPORTANCES:
        return {}
    found = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    return {key: float(share) for key, share in found.items()}
