"""The figures models are judged by: likelihoods, classes, sequences, values; and how sure each is."""
