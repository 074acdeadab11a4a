"""The stages of the pipeline: pure core first, framework wrapper second."""
