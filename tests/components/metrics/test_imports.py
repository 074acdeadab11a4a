"""What the metrics bring in with them: a client of a served model reads them too."""

import json
import subprocess
import sys

HEAVY = ("keras", "tensorflow", "jax", "apache_beam", "sacrebleu", "sklearn", "scipy", "numpy")


def heavy_after(code):
    """Which of the heavy packages a fresh Python has loaded after the code."""
    code = f"import json, sys\n{code}\nprint(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_metrics_of_likelihood_load_nothing():
    assert heavy_after("from components.metrics.likelihood import metrics") == []


def test_metrics_of_tasks_load_numpy_alone():
    modules = "bleu, bootstrap, classification, regression, report, sequences, tables, task_baselines"

    assert heavy_after(f"from components.metrics import {modules}") == ["numpy"]


def test_bleu_loads_sacrebleu_when_it_counts():
    loaded = heavy_after("from components.metrics.bleu import bleu_counts; bleu_counts(['a'], [['a']])")

    assert loaded == ["sacrebleu", "numpy"]
