"""The compiled step, one implementation per Keras backend behind one interface.

TrainStep(model, optimizer, update)  a callable: window, states, step → states, StepResult; `sync()` brings the Keras
                                     variables up to date, `read()` and `write(values)` are for checkpoints
compile_inference(model, function)   compiles `function(*arrays)`, which may call the model, without gradients
compile_gradient(model, function)    compiles a scalar `function(differentiated, *others)` into value and gradients
"""

from __future__ import annotations

import keras

from components.trainer.backend.update import StepResult, Update

if keras.backend.backend() == "tensorflow":
    from components.trainer.backend.tensorflow import TrainStep, compile_gradient, compile_inference
elif keras.backend.backend() == "jax":
    from components.trainer.backend.jax import TrainStep, compile_gradient, compile_inference  # type: ignore[assignment]
else:
    raise ValueError(
        f"Trainer: the Keras backend must be tensorflow or jax. Received: KERAS_BACKEND={keras.backend.backend()!r}. "
        "Set the environment variable KERAS_BACKEND."
    )

__all__ = ["StepResult", "TrainStep", "Update", "compile_gradient", "compile_inference"]
