"""Runs demonstrations: a picture (SVG) and its figures (JSON) for each, and one page that shows them all."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
from matplotlib.figure import Figure

from components.json_values import json_value
from components.lab import catalogue
from components.lab.demonstration import Demonstration, Say

_DIGITS = 6
_STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: small files, and words that can be found
    "svg.hashsalt": "lab",  # the same ids each time
}


def run(names: Sequence[str], output: Path, seed: int, say: Say) -> None:
    """Runs demonstrations and writes `NAME.svg`, `NAME.json` and `lab.html`.

    Args:
        names: Names from the catalogue; all standard ones if empty.
        output: Folder to write to. Files of other demonstrations that are there stay, and the page shows them too.
        seed: Seed of everything that is drawn at random.
        say: Takes a line for the user.
    """
    output.mkdir(parents=True, exist_ok=True)
    for name in names or catalogue.STANDARD:
        demonstration = catalogue.load(name)
        say(f"\n{name}: {demonstration.title}")
        say(f"  {demonstration.equation}")
        started = time.monotonic()
        figures = demonstration.measure(seed, lambda line: say(f"  … {line}"))
        sentences = demonstration.sentences(figures)
        draw(demonstration, figures, output / f"{name}.svg")
        record = {"name": name, "seed": seed, "sentences": sentences, "figures": json_value(figures, _DIGITS)}
        (output / f"{name}.json").write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
        for sentence in sentences:
            say(f"  {sentence}")
        say(f"  To do: {demonstration.advice}")
        say(f"  {output / name}.svg ({time.monotonic() - started:.0f} s)")
        write_page(output)
    say(f"\nAll pictures: {output / 'lab.html'}")


def draw(demonstration: Demonstration, figures: object, path: Path) -> None:
    """Writes a picture; the same figures give the same bytes."""
    with matplotlib.rc_context(_STYLE):
        picture = Figure(figsize=demonstration.size, layout="constrained")
        demonstration.draw(picture, figures)
        picture.savefig(path, metadata={"Date": None, "Creator": None})


def write_page(output: Path) -> None:
    """Writes `lab.html`: every demonstration whose files are in the folder."""
    entries = []
    for name in (*catalogue.STANDARD, *catalogue.LONG):
        path = output / f"{name}.json"
        if path.is_file():
            record = json.loads(path.read_text("utf-8"))
            entries.append({"demonstration": catalogue.load(name), **record})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("page.html.jinja").render(entries=entries)
    (output / "lab.html").write_text(page, encoding="utf-8")
