"""What all tests share: no search for garbage among what the imports have made."""

import atexit
import gc

# Half a million objects of TensorFlow's live as long as the process; going through them would take a tenth of the time.
gc.disable()
atexit.register(gc.freeze)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
