"""The compiled step, one implementation per Keras backend behind one interface.

TrainStep(model, optimizer, update, devices)
                                     a callable: window, states, step → states, StepResult; `sync()` brings the Keras
                                     variables up to date, `read()` and `write(values)` are for checkpoints
device_count(), VIRTUAL_DEVICES      how many devices a step can use; how to get more than there are, in words
compile_inference(model, function)   compiles `function(*arrays)`, which may call the model, without gradients
compile_gradient(model, function)    compiles a scalar `function(differentiated, *others)` into value and gradients
"""

from __future__ import annotations

import keras

from components.trainer.backend.update import StepResult, Update

if keras.backend.backend() == "tensorflow":
    from components.trainer.backend.tensorflow import (
        VIRTUAL_DEVICES,
        TrainStep,
        compile_gradient,
        compile_inference,
        device_count,
    )
elif keras.backend.backend() == "jax":
    from components.trainer.backend.jax import (  # type: ignore[assignment]
        VIRTUAL_DEVICES,
        TrainStep,
        compile_gradient,
        compile_inference,
        device_count,
    )
else:
    raise ValueError(
        f"Trainer: the Keras backend must be tensorflow or jax. Received: KERAS_BACKEND={keras.backend.backend()!r}. "
        "Set the environment variable KERAS_BACKEND."
    )

__all__ = [
    "VIRTUAL_DEVICES",
    "StepResult",
    "TrainStep",
    "Update",
    "compile_gradient",
    "compile_inference",
    "device_count",
]
