"""Keras layers of this project; importable on their own, with no file I/O and no configuration files."""

from .dropout import Dropout
from .initializers import SpectralRadius
from .token_embedding import TiedReadout, TokenEmbedding
from .vanilla_rnn import VanillaRNN, VanillaRNNCell

__all__ = ["Dropout", "SpectralRadius", "TiedReadout", "TokenEmbedding", "VanillaRNN", "VanillaRNNCell"]
