"""The configuration's section `tuner`: which keys are searched, over which values, and how."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator
from typing import Any, Literal

import pydantic
from pydantic import Field, PositiveInt

from pipeline.errors import did_you_mean
from pipeline.section import Section, branches, key_paths, section_in

SEARCHED_SECTIONS = ("transform", "model", "trainer")


class ParameterConfig(Section):
    """The values of one key: a range, or a list of choices.

    low, high: Both ends belong to the range. Of a key that is an integer, the integers between them.
    log: Equal ratios are equally likely, not equal differences.
    step: Only low, low + step, …, high.
    choices: Any values that the key may have, whole sections and null among them.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = Field(default=None, gt=0)
    choices: tuple[Any, ...] | None = Field(default=None, description="a list of values")

    @pydantic.field_validator("choices", mode="before")
    @classmethod
    def _tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @pydantic.model_validator(mode="after")
    def _one_of_two(self) -> ParameterConfig:
        if self.choices is not None:
            if self.log or any(value is not None for value in (self.low, self.high, self.step)):
                raise ValueError("choices stand alone; low, high, log and step are for ranges")
            if not self.choices or any(choice in self.choices[:i] for i, choice in enumerate(self.choices)):
                raise ValueError(f"choices must be one or more, and none of them twice; received {list(self.choices)}")
            return self
        if self.low is None or self.high is None:
            raise ValueError("it must have low and high, or choices")
        if self.low >= self.high:
            raise ValueError(f"low must be below high; received low={self.low} and high={self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a low above 0; received {self.low}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other. Leave one out, or list choices")
        if self.step is not None:
            steps = (self.high - self.low) / self.step
            if not math.isclose(steps, round(steps), rel_tol=1e-9) or steps < 1:
                raise ValueError(
                    f"high must be low and a whole number of steps; received low={self.low}, high={self.high} and "
                    f"step={self.step}"
                )
        return self

    def samples(self) -> tuple[Any, ...]:
        """The choices; or the two ends of the range, and what comes a step after the first."""
        if self.choices is not None:
            return self.choices
        between = () if self.low is None or self.step is None else (self.low + self.step,)
        return (self.low, self.high, *between)


class TunerConfig(Section):
    """A search for the configuration with the lowest bits per character on the eval split.

    parameters: Dotted key of the sections transform, model and trainer → its values.
    trials: How many configurations are tried.
    sampler: `random`: independent draws; `tpe`: after ten of those, Parzen estimators of the good and of the bad trials
        so far (Bergstra et al. 2011).
    pruner: `successive_halving`: a trial goes on after its evaluation 1, 2, 4, 8 … only if it is in the better half of
        the trials that came as far (Li et al. 2020, ASHA); `none` trains each one to its end.
    seed: Same seed, same trials.
    """

    parameters: dict[str, ParameterConfig] = Field(
        min_length=1, description="a mapping from keys like 'model.units' to {low, high, log, step} or {choices}"
    )
    trials: PositiveInt = 20
    sampler: Literal["random", "tpe"] = "tpe"
    pruner: Literal["none", "successive_halving"] = "none"
    seed: int = Field(default=0, ge=0, lt=2**31)


def check_parameters(tuner: TunerConfig, config: type[Section]) -> None:
    """Checks the keys that are searched, and each value as far as that can be done on its own.

    Args:
        tuner: The section.
        config: The class of the whole configuration.

    Raises:
        ValueError: A key cannot be searched, or not over these values; the message begins with the key.
    """
    known = [key for name in SEARCHED_SECTIONS for key in _keys_of(config, name)]
    for key, parameter in tuner.parameters.items():
        if key not in known:
            raise ValueError(
                f"tuner.parameters: {key!r} is no key that can be searched.{_hint(key, known)} Keys are those of "
                f"{', '.join(SEARCHED_SECTIONS)}, like {known[-1]!r}"
            )
        outer = next((other for other in tuner.parameters if key.startswith(f"{other}.")), None)
        if outer is not None:
            raise ValueError(f"tuner.parameters: {outer!r} holds {key!r}, so only one of them can be searched")
        owner, name = _owner(config, key)
        if parameter.choices is None and not number_types(owner, name):
            raise ValueError(f"tuner.parameters: {key!r} is no number, so it needs choices, not low and high")
        for value in parameter.samples():
            problem = _problem(owner, name, value)
            if problem:
                raise ValueError(f"tuner.parameters: {key!r} cannot be {value!r}: {problem}")


def is_integer(config: type[Section], key: str) -> bool:
    """Says whether the numbers of a dotted key are integers."""
    return number_types(*_owner(config, key)) == [int]


def number_types(owner: type[Section], name: str) -> list[type]:
    """Which of int and float a field may be, `X | None` read as X."""
    found = (
        typing.get_args(branch)[0] if typing.get_origin(branch) is typing.Annotated else branch
        for branch in branches(owner.model_fields[name].annotation)
    )
    return [branch for branch in found if branch in (int, float)]


def _keys_of(config: type[Section], name: str) -> Iterator[str]:
    section = section_in(config.model_fields[name].annotation)
    if section is not None:
        yield from key_paths(section, f"{name}.")


def _owner(section: type[Section], key: str) -> tuple[type[Section], str]:
    """The section that holds the last name of a known key, and that name."""
    *path, name = key.split(".")
    for part in path:
        section = section_in(section.model_fields[part].annotation) or section
    return section, name


def _problem(owner: type[Section], name: str, value: Any) -> str:
    """What a field alone has against a value; what other fields say is for the trial to find out."""
    try:
        owner.model_validate({name: value})
    except pydantic.ValidationError as error:
        return next((problem["msg"] for problem in error.errors() if problem["loc"][:1] == (name,)), "")
    return ""


def _hint(key: str, known: list[str]) -> str:
    last = key.rpartition(".")[2]
    elsewhere = [other for other in known if other.rpartition(".")[2] == last]
    return f" Did you mean {elsewhere[0]!r}?" if len(elsewhere) == 1 else did_you_mean(key, known)
