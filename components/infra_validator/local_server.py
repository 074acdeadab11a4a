"""Serves a folder of versions: `python -m components.infra_validator.local_server FOLDER NAME PORT GRPC_PORT`.

In a process of its own, on this machine alone, for the InfraValidator.
"""

import sys
from pathlib import Path

from components.server.serve import Address, serve

if __name__ == "__main__":
    folder, name, port, grpc_port = sys.argv[1:]
    serve(Path(folder), name, Address("127.0.0.1", int(port), int(grpc_port)), lambda text: None)
