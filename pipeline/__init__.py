"""How stages are described, wired, run and remembered. Knows no TensorFlow, Keras or Beam."""
