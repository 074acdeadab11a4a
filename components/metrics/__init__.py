"""Metrics: what a task's predictions are worth, with intervals and baselines. NumPy alone, no Keras, no backend."""
