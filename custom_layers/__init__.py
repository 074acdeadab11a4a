"""Keras layers of this project; importable on their own, with no file I/O and no configuration files."""

from .vanilla_rnn import VanillaRNN, VanillaRNNCell

__all__ = ["VanillaRNN", "VanillaRNNCell"]
