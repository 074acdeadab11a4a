"""The base of every part of the configuration."""

from __future__ import annotations

import pydantic


class Section(pydantic.BaseModel):
    """A frozen part of the configuration that refuses keys it does not know."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
