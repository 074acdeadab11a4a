"""The base of every part of the configuration, and how its keys and types are looked up."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

import pydantic


class Section(pydantic.BaseModel):
    """A frozen part of the configuration that refuses keys it does not know."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def is_set(self, key: str) -> bool:
        """Whether a dotted key differs from its default: a configuration written out in full has every key."""
        value: Any = self
        default: Any = type(self).model_construct()
        for name in key.split("."):
            value, default = getattr(value, name), getattr(default, name)
        return value != default


def key_paths(section: type[Section], prefix: str = "") -> Iterator[str]:
    """Yields the dotted key of everything in a section, sections inside it included."""
    for name, field in section.model_fields.items():
        yield prefix + name
        inner = section_in(field.annotation)
        if inner is not None:
            yield from key_paths(inner, f"{prefix}{name}.")


def branches(annotation: Any) -> list[Any]:
    """Returns the alternatives of a type, without None: pydantic treats `X | None` as X."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [branch for branch in typing.get_args(annotation) if branch is not type(None)]
    return [annotation]


def section_in(annotation: Any) -> type[Section] | None:
    """Returns the section among the alternatives of a type."""
    return next((b for b in branches(annotation) if isinstance(b, type) and issubclass(b, Section)), None)


def sections_by_name(annotation: Any) -> type[Section] | None:
    """Returns the section that a mapping from free names holds: S of `dict[str, S]`."""
    arguments = typing.get_args(annotation)
    return section_in(arguments[1]) if typing.get_origin(annotation) is dict else None
