"""Trainer: stateful truncated back-propagation through time over lanes."""
