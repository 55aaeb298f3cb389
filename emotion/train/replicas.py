"""What a model and its batches need so that several devices train as one device would with the same batch."""

from __future__ import annotations

from itertools import chain

import keras

from emotion.base.errors import UserError


def synchronise(model: keras.Model, devices: int) -> None:
    """Let batch normalisation count its statistics over the whole batch, not over each device's part of it.

    Otherwise the result depends on the number of devices. Call it before the model is compiled.
    """
    if devices == 1:
        return
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def check_batch(batch_size: int, devices: int) -> None:
    """Refuse batches that the devices cannot share equally: the mean of their losses is not the batch's mean.

    Raises:
        UserError: Names the nearest sizes that they can.
    """
    if batch_size % devices:
        below, above = batch_size // devices * devices, (batch_size // devices + 1) * devices
        near = " or ".join(str(size) for size in (below, above) if size)
        raise UserError(
            f"trainer.batch_size: {batch_size} images cannot be shared equally by {devices} devices "
            f"(trainer.strategy=mirrored). Set trainer.batch_size={near}"
        )


def evaluation_batch(batch_size: int, count: int, devices: int) -> int:
    """The size of evaluation batches, near ``batch_size``, of which every device gets a part.

    Keras adds up the devices' parts of the first batch to learn its shape, which fails where they differ in size; and a
    part without images, as of a last batch of one, fails in fused operations.
    """
    largest = min(batch_size, count) // devices * devices
    sizes = chain(range(largest, 0, -devices), range(largest + devices, count, devices))
    return next((size for size in sizes if _reaches_all(count % size, devices)), batch_size)


def _reaches_all(count: int, devices: int) -> bool:
    """Whether no device is left without images; each but the last gets as many as the first."""
    return count == 0 or -(-count // devices) * (devices - 1) < count
