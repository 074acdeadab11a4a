"""Keras layers of this project; importable on their own, with no file I/O and no configuration files."""

from .initializers import SpectralRadius
from .vanilla_rnn import VanillaRNN, VanillaRNNCell

__all__ = ["SpectralRadius", "VanillaRNN", "VanillaRNNCell"]
