"""Evaluator: what a model reaches on held-out data, against baselines, and whether it may be pushed."""
