"""Runs the check where Keras cannot be imported: `python -m components.infra_validator.alone FOLDER REFERENCE`.

TensorFlow imports Keras by itself where it is installed; a server has none. Prints what the check finds as JSON.
"""

import gc
import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.modules["keras"] = None  # type: ignore[assignment]  # how Python spells "there is none"
    from components.infra_validator.check import check

    gc.freeze()
    gc.enable()  # latency and memory are measured as a server's, which collects
    print(json.dumps(check(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8")))))
