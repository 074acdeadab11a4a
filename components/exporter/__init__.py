"""Exporter: the trained model as a TensorFlow SavedModel that takes and gives text."""
