"""The report of a run: one page that tells what happened, how good the model is and where it comes from."""
