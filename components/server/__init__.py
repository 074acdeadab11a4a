"""The server: TensorFlow Serving's protocols over HTTP and gRPC, streams, sessions, and a page to explore a model."""
