"""Stands in for the launcher that Kubeflow puts before a container's command: runs it, and reports what it wrote."""

import json
import subprocess
import sys
from pathlib import Path

_, executor_input, *command = sys.argv[1:]
code = subprocess.run(command, check=False).returncode
if code == 0:
    outputs = json.loads(executor_input)["outputs"]
    Path(outputs["outputFile"]).write_text(json.dumps({"artifacts": outputs["artifacts"]}))
sys.exit(code)
