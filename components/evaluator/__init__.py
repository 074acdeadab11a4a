"""Evaluator: what a model reaches on held-out text, against baselines, and whether it may be pushed."""
