"""Writes `report.html` of a run: one file that needs no network, from what the run left on disk."""

from __future__ import annotations

import functools
import os
import urllib.parse
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from components.report import sections
from pipeline.metadata import MetadataStore
from pipeline.summary import RunSummary, report_of

TEMPLATE = Path(__file__).with_name("page.html.jinja")
# What a page may not hold, as a sign for it.
_CONTROLS = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"} | {127: "\u2421"}


def write_report(summary: RunSummary) -> Path:
    """Writes the report of a run that has ended, whichever way, and returns its path.

    The page is whole or absent; it holds everything but the pages of the stages, which it has links to.
    """
    with MetadataStore(summary.root, read_only=True) as store:
        content = sections.of_run(summary, store)
    path = report_of(summary.root, summary.run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}-{os.getpid()}")
    new.write_text(render(content, path.parent), encoding="utf-8")
    new.replace(path)
    return path


def render(content: dict[str, Any], folder: Path) -> str:
    """The page, with links from a folder."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": _number,
        "duration": _duration,
        "moment": lambda seconds: datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %z"),
        "link": functools.partial(_link, folder),
        "breakable": lambda key: Markup(".<wbr>").join(key.split(".")),
        "visible": lambda text: text.translate(_CONTROLS),
    }
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(content)


def _link(folder: Path, path: Path | str) -> str:
    """A page or folder as a link from a folder; a URL leads where it says."""
    if "://" in str(path):
        return str(path)
    # As bytes: a name need not be UTF-8.
    return urllib.parse.quote(os.fsencode(Path(os.path.relpath(path, folder)).as_posix()))


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return (
        f"{value:#.4g}".rstrip(".")
        if 1e-4 <= abs(value) < 1000
        else f"{value:,.1f}"
        if 1000 <= abs(value) < 1e6
        else f"{value:.3g}"
    )


def _duration(seconds: float) -> str:
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
