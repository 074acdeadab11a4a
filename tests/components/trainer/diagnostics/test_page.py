"""The page of a training: whole, self-contained, for those who cannot see it too, and there whatever is missing."""

import html.parser
import re

import pytest

from components.trainer.diagnostics import plots
from components.trainer.diagnostics.page import write_page
from tests.histories import evaluation, layer, measures, step, whole

VOID = {"meta"}


class Checker(html.parser.HTMLParser):
    """Fails on a tag that is not closed, and collects attributes, ids and text."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.ids, self.references, self.labels, self.text = [], set(), [], set(), [], []

    def handle_starttag(self, tag, attributes):
        self._note(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self._note(tag, attributes)

    def _note(self, tag, attributes):
        found = dict(attributes)
        self.attributes |= {(tag, name) for name in found}
        self.ids += [found["id"]] if "id" in found else []
        for value in found.values():
            self.references |= set(re.findall(r"^#(.+)$|url\(#([^)]+)\)", value or ""))
        if tag == "svg":
            self.labels.append(found.get("aria-label") if found.get("role") == "img" else None)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page(folder, history, **arguments):
    path = folder / "training.html"
    write_page(history, path, **arguments)
    checker = Checker()
    checker.feed(path.read_text("utf-8"))
    assert checker.open == []
    return " ".join(" ".join(checker.text).split()), checker, path


@pytest.fixture(scope="module")
def of_whole(tmp_path_factory):
    """The page of `whole()`: text, checker and path."""
    return page(tmp_path_factory.mktemp("page"), whole(), global_clipnorm=1.5)


def test_page_shows_every_plot_with_a_label_that_says_what_is_in_it(of_whole):
    text, checker, _ = of_whole

    assert len(checker.labels) == 5 + 1 + 2 * 3 + 3  # training, influence, of each layer, from evaluation to evaluation
    assert all(label and len(label) > 20 for label in checker.labels)
    assert "layer 1 under 1 % from lag 13 on" in checker.labels[5]
    assert "clipped to 1.5; gradient not finite: 1, loss not finite: 1" in checker.labels[2]
    for title in ("Bits per character", "Learning rate", "Norm of the gradient", "Eigenvalues of W", "Memory, steps"):
        assert title in text


def test_page_needs_nothing_from_elsewhere_and_its_ids_are_its_own(of_whole):
    _, checker, path = of_whole

    assert not re.search(r"https?:|@import|<script", path.read_text("utf-8"))
    assert not {name for _, name in checker.attributes} & {"src", "xlink:href"}
    assert len(checker.ids) == len(set(checker.ids))
    assert {first or second for first, second in checker.references} <= set(checker.ids)
    assert checker.references


def test_page_of_the_same_history_is_the_same(of_whole, tmp_path):
    first = of_whole[2].read_bytes()

    assert page(tmp_path, whole(), global_clipnorm=1.5)[2].read_bytes() == first
    assert page(tmp_path, whole(), global_clipnorm=2.5)[2].read_bytes() != first  # guard


def test_page_sums_up_what_the_training_came_to(tmp_path):
    text, _, _ = page(tmp_path, [*whole(), evaluation(300, 2.3, best=False)])

    assert "best eval, bits per character 2.2500 step 200, epoch 2" in text
    assert "steps 300 in 31.0 s" in text
    assert "steps clipped 25.0 %" in text
    assert "steps not finite 2" in text
    assert "memory of layer 1, steps 13" in text
    assert "memory of layer 2, steps > 40" in text
    assert text.count(" s best ") == 1


def test_page_lists_evaluations_bad_steps_and_sizes_of_updates(of_whole):
    text, _, _ = of_whole

    assert "2 200 1.5596 2.2500 4.7568 12,345 21.0 s best" in text
    assert "152 gradient skip 153 loss rollback" in text
    assert "kernel 0.0015" in text


def test_page_says_what_the_measures_mean(of_whole):
    text, _, _ = of_whole

    assert "Layer 2: influence on the loss falls by half every 14 steps" in text
    assert "2 steps were not finite" in text


NOTHING = dict.fromkeys(("memory_length", "factor", "half_life", "spectral_radius", "largest_singular_value", "mean"))
BROKEN = {
    **NOTHING,
    **dict.fromkeys(("std", "norm", "saturated", "histogram")),
    "influence": [None] * 41,
    "eigenvalues": [[None, None]] * 6,
    "singular_values": [None] * 6,
}


LACKING = {
    "everything": [],
    "all but a step": [step(10)],
    "most of a step": [{"step": 10, "nats": 2.0}],
    "finite numbers": [
        step(10, nats=None, bits_per_char=None, gradient_norm=None),
        step(20, clipped=None, learning_rate=None),
    ],
    "gradients": [step(10, gradient_norm=0.0), step(20, gradient_norm=0.0)],
    "all but an evaluation": [evaluation(100, 2.5)],
    "finite evaluations": [{"step": 5, "eval": {"nats": None, "bits_per_char": None, "perplexity": None}}],
    "all but a bad step": [{"step": 1, "event": {"cause": "state", "action": "fail"}}],
    "all but one unit": [{"epoch": 1, "step": 10, "diagnostics": measures(layer(units=1))}],
    "finite weights": [{"epoch": 1, "step": 10, "diagnostics": measures(layer(**BROKEN))}],
    "finite weights at last": [{"step": s, "diagnostics": measures(layer(**w))} for s, w in ((10, {}), (20, BROKEN))],
    "finite weights at first": [{"step": s, "diagnostics": measures(layer(**w))} for s, w in ((10, BROKEN), (20, {}))],
    "influence": [
        {"step": 10, "diagnostics": measures(layer(influence=[0.0] * 41, memory_length=0, factor=None))},
    ],
    "all but seven layers": [{"step": 10, "diagnostics": measures(*[layer() for _ in range(7)])}],
    "diagnostics": [{"step": 10, "diagnostics": None}],
}


@pytest.mark.parametrize("history", LACKING.values(), ids=LACKING)
def test_page_of_a_history_that_lacks_things_is_a_page(history, tmp_path):
    text, _, _ = page(tmp_path, history)

    assert "What it came to" in text
    assert "nan" not in text.lower().split()


@pytest.mark.parametrize(("share", "is_linear"), [(True, True), (False, False)])
def test_curve_of_numbers_of_very_different_sizes_is_logarithmic_but_not_of_shares(share, is_linear):
    svg = plots.curves("clipped", "", {"clipped": [(1, 0.001), (2, 0.5), (3, 0.999)]}, "", share=share)

    (path,) = re.findall(rf'<path d="([^"]*)"[^>]*stroke: {plots.COLORS[0]}', svg)
    first, second, third = [float(point.split()[1]) for point in re.split("[ML]", path)[1:]]
    assert (second - first == pytest.approx(third - second, rel=1e-3)) == is_linear


def test_page_escapes_what_a_history_holds(tmp_path):
    evil = "<script>alert(1)</script>"
    history = whole()
    history[-1]["diagnostics"]["update_ratios"] = {evil: 1.0}
    history.append({"step": 160, "event": {"cause": evil, "action": evil}})

    _, _, path = page(tmp_path, history)

    assert "<script" not in path.read_text("utf-8")
    assert "&lt;script&gt;" in path.read_text("utf-8")
