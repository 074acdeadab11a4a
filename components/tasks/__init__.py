"""Tasks: what a model predicts, from which inputs, at what loss."""
