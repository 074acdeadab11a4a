"""Data sets that the pipeline knows: one module each, behind one interface, listed in the registry."""
