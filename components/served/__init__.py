"""What uses a served model: on the command line, in a server, in bulk."""
