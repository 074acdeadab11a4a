"""Answers all records of files with a served model."""
