"""ExampleValidator: where documents are not what they have to be, and whether that ends the run."""
