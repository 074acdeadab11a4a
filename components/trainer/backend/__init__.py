"""The compiled step, one implementation per Keras backend behind one interface.

TrainStep(model, optimizer)          a callable: window, states → states, StepResult; `sync()` brings the model's
                                     variables up to date
compile_inference(model, function)   compiles `function(*arrays)`, which may call the model, without gradients
compile_gradient(model, function)    compiles `function(differentiated, *others)`, a scalar, with its gradient
"""

from __future__ import annotations

import keras

from components.trainer.backend.result import StepResult

if keras.backend.backend() == "tensorflow":
    from components.trainer.backend.tensorflow import TrainStep, compile_gradient, compile_inference
elif keras.backend.backend() == "jax":
    from components.trainer.backend.jax import TrainStep, compile_gradient, compile_inference  # type: ignore[assignment]
else:
    raise ValueError(
        f"Trainer: the Keras backend must be tensorflow or jax. Received: KERAS_BACKEND={keras.backend.backend()!r}. "
        "Set the environment variable KERAS_BACKEND."
    )

__all__ = ["StepResult", "TrainStep", "compile_gradient", "compile_inference"]
