"""scikit-learn's MLPClassifier with its defaults, a network without convolutions.

One hidden layer of 100 units, Adam, batches of 200; pixels in [0, 1] as in scikit-learn's examples. One
call of ``partial_fit`` is one epoch.
"""

import time

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.contenders.common import arguments, as_arrays, report_epoch, report_ready


def main() -> None:
    """Train, and test after each epoch."""
    args = arguments(__doc__)
    (x_train, y_train), (x_test, y_test) = as_arrays(args.data, args.limit)
    x_train = x_train.reshape(len(x_train), -1) / 255.0  # (N, 784)
    x_test = x_test.reshape(len(x_test), -1) / 255.0
    model = MLPClassifier(random_state=args.seed)
    report_ready()

    for _ in range(args.epochs):
        started = time.perf_counter()
        model.partial_fit(x_train, y_train, classes=np.arange(10))
        train_seconds = time.perf_counter() - started

        accuracy = report_epoch(train_seconds, model.score(x_test, y_test))
        if accuracy >= args.until:
            break


if __name__ == "__main__":
    main()
