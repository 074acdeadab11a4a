"""Tuner: a search for the configuration with the lowest bits per character."""
