"""Reads a recipe (YAML plus `--set` overrides) into a `Config`, and puts everything wrong with it in readable lines."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml
from pydantic.fields import FieldInfo

from pipeline.config import Config
from pipeline.errors import UsageError, did_you_mean
from pipeline.section import Section, branches, key_paths, section_in, sections_by_name

_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_KEY_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def load_config(path: Path, overrides: Iterable[str] = ()) -> Config:
    """Reads a recipe and applies overrides.

    Args:
        path: YAML file.
        overrides: Strings `a.b=VALUE`; VALUE is read as YAML, a later one wins.

    Raises:
        UsageError: The file cannot be read, is no YAML mapping, or holds an unknown key or a bad value. The message
            has one line for each problem.
    """
    values = _read(path)
    for override in overrides:
        _apply(values, override)
    return validate(values)


def validate(values: Mapping[str, Any]) -> Config:
    """Makes a configuration of nested plain values.

    Raises:
        UsageError: As `load_config`.
    """
    filled = _fill_empty_sections(Config, values)
    try:
        return Config.model_validate(filled)
    except pydantic.ValidationError as error:
        raise UsageError("\n".join(_explain(error, filled))) from None


def dump_config(config: Config) -> str:
    """Writes a configuration as a recipe, every key of it, so that `load_config` reads the same."""
    values = config.model_dump(mode="json")
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


# ---- YAML -----------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads `1e-3` as a number, keeps dates and keys as text, and refuses a key given twice."""

    # `on`, `no` and the like are false friends as keys: a key is always the text that stands in the file.
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in lines:
                    problem = f"the key {key.value!r} is given twice (first on line {lines[key.value]})"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                lines[key.value] = key.start_mark.line + 1
        self.flatten_mapping(node)
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key.start_mark)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader` would read as a number."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
        list("-+.0123456789"),
    )


def _parse(text: str) -> Any:
    # ValueError: `!!int x`. RecursionError: thousands of nested brackets.
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"Config: the file must exist. Received: {str(path)!r}.") from error
    except IsADirectoryError as error:
        raise UsageError(f"Config: a YAML file is needed, not a folder. Received: {str(path)!r}.") from error
    except OSError as error:
        raise UsageError(f"Config: the file cannot be read ({error.strerror}). Received: {str(path)!r}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"Config: it must be UTF-8; byte {error.start} is not. Received: {str(path)!r}.") from error
    try:
        values = _parse(text)
    except ValueError as error:
        raise UsageError(f"Config: {path} is no valid YAML: {error}.") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(
            f"Config: the top level of {path} must be a mapping of sections. Received: {_show(values)}. "
            f"Sections: {', '.join(Config.model_fields)}."
        )
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    """Sets one `a.b=VALUE` in the nested mapping `values`."""
    key_path, equals, text = override.partition("=")
    if not equals or not _KEY_PATH.fullmatch(key_path):
        raise UsageError(
            f"--set must be KEY.PATH=VALUE. Received: {override!r}. Example: --set trainer.optimizer.learning_rate=1e-3"
        )
    *sections, key = key_path.split(".")
    for section in sections:
        inner = values.get(section)
        # A copy, because YAML aliases make several sections share one mapping.
        values[section] = dict(inner) if isinstance(inner, dict) else {}
        values = values[section]
    values[key] = _override_value(key_path, text)


def _override_value(key_path: str, text: str) -> Any:
    """Reads VALUE as YAML; what is not a number, true, false, null, quoted or bracketed is text, kept as it stands.

    So `example_gen.source=inline:Enter: Romeo #1` needs no quotes beyond the shell's.
    """
    bracketed = text.lstrip()[:1] in tuple("{[\"'")
    try:
        value = _parse(text)
    except ValueError as error:
        if bracketed:
            raise UsageError(f"--set {key_path}: VALUE is no valid YAML ({error}). Received: {text!r}.") from error
        return text
    return value if bracketed or value is None or isinstance(value, bool | int | float) else text


def _fill_empty_sections(section: type[Section], values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads a section that is missing or empty (`trainer:` with nothing) as all defaults; null where it may be null."""
    filled = dict(values)
    for name, field in section.model_fields.items():
        inner = section_in(field.annotation)
        if inner is None:
            continue
        nullable = type(None) in typing.get_args(field.annotation)
        if filled.get(name) is None and (name in filled or field.is_required()) and not nullable:
            filled[name] = {}
        if isinstance(filled.get(name), dict):
            filled[name] = _fill_empty_sections(inner, filled[name])
    return filled


# ---- What is wrong, in words ----------------------------------------------------------------------------------------


def _explain(error: pydantic.ValidationError, values: dict[str, Any]) -> list[str]:
    lines = (_explain_one(problem, values) for problem in error.errors(include_url=False))
    return list(dict.fromkeys(line for line in lines if line))


def _explain_one(problem: Any, values: dict[str, Any]) -> str | None:
    """Returns the line for one of pydantic's problems; None for the branch of a union that the user did not take."""
    path: list[str] = []
    owner: type[Section] = Config  # the section that holds the last name of the path
    field: FieldInfo | None = None
    section: type[Section] | None = Config
    received: Any = values
    by_name: type[Section] | None = None  # the section of each name, inside a mapping from free names
    tag_next = False
    for part in problem["loc"]:
        if tag_next:  # pydantic names the branch it tried, which is no part of the user's path
            tag_next = False
            is_section_branch = section is not None and section.__name__ in str(part)
            if is_section_branch != isinstance(received, dict):
                return None
            continue
        if by_name is not None:
            path.append(str(part))
            received = received.get(part) if isinstance(received, dict) else None
            owner, field, section, by_name = by_name, FieldInfo.from_annotation(by_name), by_name, None
            continue
        if section is None:  # an item of a list: the whole list is what the user wrote
            break
        owner, field = section, section.model_fields.get(str(part))
        path.append(str(part))
        received = received.get(str(part)) if isinstance(received, dict) else None
        tag_next = len(branches(field.annotation)) > 1 if field else False
        section = section_in(field.annotation) if field else None
        by_name = sections_by_name(field.annotation) if field else None
    return _line(problem, ".".join(path), owner, field, received)


def _line(problem: Any, path: str, owner: type[Section], field: FieldInfo | None, received: Any) -> str:
    if problem["type"] == "value_error":  # a validator of ours: its text says it all
        return f"Config: {path + ': ' if path else ''}{problem['ctx']['error']}."
    if problem["type"] == "missing":
        return f"Config: {path} must be given: {_allowed_in(field)}."
    if field is None:
        return _unknown_key(path, owner, received)
    hint = " Put it in quotes to make it text." if problem["type"] == "string_type" and received is not None else ""
    return f"Config: {path} must be {_allowed_in(field)}. Received: {path}={_show(received)}.{hint}"


def _unknown_key(path: str, owner: type[Section], received: Any) -> str:
    parent, _, name = path.rpartition(".")
    known = list(owner.model_fields)
    elsewhere = [other for other in key_paths(Config) if other.rpartition(".")[2] == name]
    hint = f" Did you mean {elsewhere[0]!r}?" if len(elsewhere) == 1 else did_you_mean(name, known)
    where = f"Known keys of {parent}" if parent else "Known sections"
    return f"Config: {path} is not a known key. Received: {path}={_show(received)}.{hint} {where}: {', '.join(known)}."


def _allowed_in(field: FieldInfo | None) -> str:
    if field is None:
        return "given"
    return field.description or _allowed(field.annotation, field.metadata)


def _allowed(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Says in words which values a type allows: `an integer > 0, or null`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _allowed(arguments[0], [*arguments[1:], *metadata])
    if origin in (typing.Union, types.UnionType):
        return ", or ".join("null" if branch is type(None) else _allowed(branch, metadata) for branch in arguments)
    if origin is Literal:
        return " or ".join(map(repr, arguments)) if len(arguments) < 3 else f"one of {', '.join(map(repr, arguments))}"
    if origin in (tuple, list):
        return f"a list, each item {_allowed(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return f"a mapping with the keys {', '.join(annotation.model_fields)}"
    names = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
    bounds = [f"{sign} {getattr(m, key)}" for m in metadata for key, sign in _BOUNDS.items() if hasattr(m, key)]
    return " ".join([names.get(annotation, str(annotation)), " and ".join(bounds)]).rstrip()


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
