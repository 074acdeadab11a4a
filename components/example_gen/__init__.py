"""ExampleGen: a corpus becomes UTF-8 documents in train, eval and test splits."""
