"""Small networks of two parts, what they train on, and a short way to train them."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from model.checkpoints.keeper import Idle
from model.training import trainer
from model.training.strategy import mirrored


def one_device():
    return mirrored(1, 1)


def tiny(units=3, optimizer=None):
    """A compiled model of one layer."""
    inputs = keras.Input((4,), name="image")
    model = keras.Model({"image": inputs}, {"logits": layers.Dense(units, name="d")(inputs)})
    model.compile(optimizer=optimizer or keras.optimizers.Adam(0.1))
    model.optimizer.build(model.trainable_variables)
    return model


def shared(dataset, share):
    """The parts that one worker's devices take of whole batches."""
    _, _, devices = share

    def split(batch):
        return {
            key: tf.reshape(value, [devices, value.shape[0] // devices, *value.shape[1:]])
            for key, value in batch.items()
        }

    return dataset.map(split).unbatch() if devices > 1 else dataset


def data_of(train, valid, names):
    """What a run trains on, of datasets of whole batches."""
    return trainer.Data(
        lambda epoch, skip, share: shared(train.skip(skip), share),
        lambda share: shared(valid, share),
        dict,
        len(train),
        names,
    )


def split(seen=None, rate=1e-2, size=8, group=1):
    """A compiled model of two: a frozen `encoder`, whose kernel is 1, and a `readout` of `features`
    that answers for `group` fixations of each picture, by their number in `shift`.

    seen: a list that is told whenever a gradient reaches the encoder."""

    @tf.custom_gradient
    def watched(x):
        def gradient(upstream):
            seen.append(upstream)
            return upstream

        return tf.identity(x), gradient

    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, 3), name="image")
    x = layers.Conv2D(2, 1, kernel_initializer="ones", name="encoder_conv")(image / 255)
    encoder = keras.Model(
        image, layers.Lambda(watched)(x) if seen is not None else x, name="encoder"
    )
    encoder.trainable = False
    inputs = {
        "features": keras.Input((size, size, 2), name="features"),
        "shift": keras.Input((1,), name="shift"),
    }
    x = layers.Conv2D(4, 3, padding="same", activation="tanh", name="hidden")(inputs["features"])
    x = ops.repeat(x, group, axis=0) + inputs["shift"][:, None, None]
    logits = layers.Conv2D(1, 3, padding="same", use_bias=False, name="logits")(x)
    readout = keras.Model(inputs, {"logits": logits}, name="readout")
    rest = {"image": image, "shift": keras.Input((1,), name="shift")}
    outputs = readout({"features": encoder(image), "shift": rest["shift"]})
    model = keras.Model(rest, outputs, name="whole")
    model.compile(optimizer=keras.optimizers.Adam(rate))
    model.optimizer.build(model.trainable_variables)
    return model


def scanpaths(pictures=4, group=3, batch=2, size=8):
    """Batches of `batch` pictures and `group` fixations of each; the last fixation is filling."""
    random = np.random.default_rng(0)
    count, pixels = pictures * group, size * size
    fixations = np.eye(pixels, dtype="f4")[random.integers(pixels, size=count)]
    weight = np.float32(np.arange(count) < count - 1)
    parts = {
        "image": np.float32(random.uniform(0, 255, (pictures, size, size, 3))),
        "shift": np.float32(random.normal(size=(pictures, group, 1))),
        "fixations": fixations.reshape(pictures, group, size, size, 1),
        "valid": np.ones((pictures, group, size, size, 1), "f4"),
        "weight": weight.reshape(pictures, group),
        "id": np.arange(count).reshape(pictures, group),
    }

    def together(values):
        return {
            key: value if key == "image" else tf.reshape(value, [-1, *value.shape[2:]])
            for key, value in values.items()
        }

    dataset = tf.data.Dataset.from_tensor_slices(parts)
    return dataset.batch(batch, drop_remainder=True).map(together)


def fitted(strategy, model, dataset, epochs=1, progress=None, keeper=None, **options):
    data = data_of(dataset, dataset, ["x"] * 100)
    progress, keeper = progress or trainer.Progress(), keeper or Idle()
    losses = {"nll": 1.0}
    trainer.fit(strategy, model, data, losses, ["entropy"], epochs, progress, keeper, **options)
    return progress
