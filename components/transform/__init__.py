"""Transform: documents become a vocabulary and lanes of fixed-length windows of token ids."""
