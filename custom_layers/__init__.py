"""Keras layers of this project; importable on their own, with no file I/O and no configuration files."""

from .context_decoder import ContextDecoder
from .dropout import Dropout
from .initializers import SpectralRadius
from .stopping import LengthHead, StopHead
from .token_embedding import TiedReadout, TokenEmbedding
from .vanilla_rnn import VanillaRNN, VanillaRNNCell

__all__ = [
    "ContextDecoder",
    "Dropout",
    "LengthHead",
    "SpectralRadius",
    "StopHead",
    "TiedReadout",
    "TokenEmbedding",
    "VanillaRNN",
    "VanillaRNNCell",
]
