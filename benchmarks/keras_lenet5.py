"""Images a second of Keras on TensorFlow, as its tutorials train: LeNet-5 on MNIST's shapes, augmented by its layers.

    python benchmarks/keras_lenet5.py            (in an environment with tensorflow)

The network is that of `network=lenet5` (batch norm, ReLU, max-pooling, 61,932 parameters), the batch 128. Compare with
what `throughput.py mnist` prints for convolve in a run just before or after.
"""

import time

import keras
import numpy as np
from keras import layers

BATCH, STEPS, ROUNDS = 128, 300, 3


def lenet5() -> keras.Model:
    """C1 - S2 - C3 - S4 - C5 - F6 - 10 outputs, with rotation, translation and zoom in front."""

    def normalised(layer: layers.Layer) -> list[layers.Layer]:
        return [layer, layers.BatchNormalization(), layers.ReLU()]

    return keras.Sequential(
        [
            layers.RandomRotation(12 / 360),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomZoom(0.1),
            *normalised(layers.Conv2D(6, 5, padding="same", use_bias=False)),
            layers.MaxPooling2D(2),
            *normalised(layers.Conv2D(16, 5, use_bias=False)),
            layers.MaxPooling2D(2),
            *normalised(layers.Conv2D(120, 5, use_bias=False)),
            layers.Flatten(),
            *normalised(layers.Dense(84, use_bias=False)),
            layers.Dense(10),
        ]
    )


def main() -> None:
    """Train on random digits of MNIST's shape; the first epoch, which traces the graph, is not counted."""
    generator = np.random.default_rng(0)
    images = generator.random((BATCH * STEPS, 28, 28, 1), dtype=np.float32)
    labels = generator.integers(0, 10, BATCH * STEPS)
    model = lenet5()
    model.compile(
        optimizer=keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(images[: BATCH * 10], labels[: BATCH * 10], batch_size=BATCH, verbose=0)
    for number in range(ROUNDS):
        started = time.perf_counter()
        model.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0)
        print(f"round {number + 1}: {len(images) / (time.perf_counter() - started):,.1f} images/s", flush=True)


if __name__ == "__main__":
    main()
