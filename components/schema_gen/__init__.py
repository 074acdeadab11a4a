"""SchemaGen: what documents have to be, inferred from the train split or given as a file."""
