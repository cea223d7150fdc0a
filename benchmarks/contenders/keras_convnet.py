"""Keras 3 on either backend: its own MNIST example, or the network and settings of `plain_pytorch`.

``--net own`` is the network of Keras's "Simple MNIST convnet" (34,826 parameters, Adam, batches of
128). That example holds out a tenth of the training images; here it trains on all and is tested after
each epoch, like the other contenders. ``--net reference`` is the network of the recipe ``reference``,
with the default initial weights of Keras.
"""

import os
import time
from typing import Any

from benchmarks.contenders.common import arguments, as_arrays, report_epoch, report_ready

if __name__ == "__main__":
    args = arguments(__doc__, backend=["torch", "jax"], net=["own", "reference"])
    os.environ["KERAS_BACKEND"] = args.backend  # Keras reads it once, when it is imported

import keras
from keras import layers


class Report(keras.callbacks.Callback):
    """Report training time and accuracy of each epoch, and stop at the target accuracy."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self.until = until
        self.started = self.train_seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start timing."""
        self.started = time.perf_counter()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Stop timing: Keras validates before the end of an epoch."""
        self.train_seconds = time.perf_counter() - self.started

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the epoch."""
        assert logs is not None
        self.model.stop_training = report_epoch(self.train_seconds, logs["val_accuracy"]) >= self.until


def own_network() -> Any:
    """Return the network of Keras's example, compiled."""
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model


def reference_network() -> Any:
    """Return the network of the recipe ``reference``, compiled."""
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10),
        ]
    )
    model.compile(
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.SGD(learning_rate=0.01, momentum=0.9),
        metrics=["accuracy"],
    )
    return model


def main() -> None:
    """Train, and test after each epoch."""
    keras.utils.set_random_seed(args.seed)
    (x_train, y_train), (x_test, y_test) = as_arrays(args.data, args.limit)
    x_train = x_train[..., None].astype("float32") / 255  # (N, 28, 28, 1)
    x_test = x_test[..., None].astype("float32") / 255
    y_train = keras.utils.to_categorical(y_train, 10)
    y_test = keras.utils.to_categorical(y_test, 10)
    if args.net == "reference":
        x_train, x_test = (x_train - 0.5) / 0.5, (x_test - 0.5) / 0.5
        model, batch_size = reference_network(), 64
    else:
        model, batch_size = own_network(), 128
    report_ready()
    model.fit(
        x_train,
        y_train,
        batch_size=batch_size,
        epochs=args.epochs,
        validation_data=(x_test, y_test),
        callbacks=[Report(args.until)],
        verbose=0,
    )


if __name__ == "__main__":
    main()
