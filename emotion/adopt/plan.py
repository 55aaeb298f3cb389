"""What stands between our images and a third-party network, whatever its file: sizes, channels, values, outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emotion.base.errors import UserError
from emotion.faces.contract import Contract

#: Mean and standard deviation of ImageNet's images, from 0 to 1, in the order RGB.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Factors and offsets, per channel in the order RGB, from values 0 to 255 to those that a network was trained on.
#: ``imagenet`` uses mean and deviation, as torchvision's networks do; ``caffe`` the mean alone, in BGR, as VGG16 and
#: ResNet50 of keras.applications do.
RANGES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "minus_one_to_one": ((1 / 127.5,), (-1.0,)),
    "zero_to_one": ((1 / 255,), (0.0,)),
    "raw": ((1.0,), (0.0,)),
    "caffe": ((1.0,), (-123.68, -116.779, -103.939)),
    "imagenet": (
        tuple(1 / 255 / s for s in _DEVIATION),
        tuple(-m / s for m, s in zip(_MEAN, _DEVIATION, strict=True)),
    ),
}


@dataclass(frozen=True)
class Signature:
    """A network's input and output; None stands for a size that it leaves open.

    Attributes:
        batch: Images that it takes at once.
        height, width, channels: Of its images.
        planar: Whether its images are ``[channels, height, width]``.
        dtype: Of its input, as NumPy calls it.
        outputs: Number of its outputs per image.
        last: Its last activation, ``linear`` where it has none, or the operation that makes it unknown.
    """

    batch: int | None
    height: int | None
    width: int | None
    channels: int
    planar: bool
    dtype: str
    outputs: int
    last: str


@dataclass(frozen=True)
class Plan:
    """The steps from uint8 ``[N, H, W, C]`` to a network's input, and from its output to our probabilities.

    Attributes:
        contract: Of the result.
        repeat: Whether the grey channel is given three times.
        scale, offset: What values are multiplied by and shifted by: one number, or one per channel. Empty where the
            network takes bytes.
        swap: Whether the channels are given in the order blue, green, red.
        softmax: Whether the network's outputs are logits.
        order: Where each of our labels is among its outputs; None where it has them in our order.
    """

    contract: Contract
    repeat: bool
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    swap: bool
    softmax: bool
    order: tuple[int, ...] | None


def plan(
    signature: Signature, contract: Contract, labels: Sequence[str], pixels: str, output: str | None, bgr: bool
) -> Plan:
    """What is to be done for a network.

    Args:
        signature: The network.
        contract: Of the result.
        labels: Names of its outputs, in its own order: all labels of the contract.
        pixels: A key of :data:`RANGES`.
        output: ``probabilities`` or ``logits``; None is decided by its last activation.
        bgr: Whether it takes the channels in the order blue, green, red.

    Raises:
        UserError: It has not one output per label; ``pixels`` or ``output`` does not fit it.
    """
    if signature.outputs != len(labels):
        raise UserError(
            f"labels: the network gives [N, {signature.outputs}], must give [N, {len(labels)}]: one output per label: "
            f"{', '.join(labels)}"
        )
    if pixels in ("imagenet", "caffe") and signature.channels != 3:
        raise UserError(f"pixels: {pixels} is for networks of 3 channels, and this one takes 1; choose another")
    scale, offset = ((), ()) if signature.dtype == "uint8" and pixels == "raw" else RANGES[pixels]
    order = tuple(list(labels).index(label) for label in contract.labels)
    return Plan(
        contract,
        repeat=signature.channels == 3 and contract.channels == 1,
        scale=scale,
        offset=offset,
        swap=signature.channels == 3 and (bgr or pixels == "caffe"),
        softmax=gives_logits(signature.last, output),
        order=None if order == tuple(range(len(labels))) else order,
    )


def gives_logits(last: str, output: str | None) -> bool:
    """Whether a softmax is missing.

    Raises:
        UserError: That is not known, or it is not as the user says.
    """
    if output is None and last not in ("softmax", "linear"):
        raise UserError(
            f"output: the network ends in {last}, so the kind of its outputs is not known; set output=logits or "
            f"output=probabilities"
        )
    if output == "logits" and last == "softmax":
        raise UserError("output: the network ends in a softmax, so its outputs are probabilities; leave output out")
    return output == "logits" or (output is None and last == "linear")


def input_shape(signature: Signature, height: int | None, width: int | None) -> tuple[int, int, int]:
    """Height, width and channels of a network's input; the given size counts where the network takes any.

    Raises:
        UserError: It leaves open what was not given, or takes another size.
    """
    sides = []
    for key, given, own in (("height", height, signature.height), ("width", width, signature.width)):
        if own is None and given is None:
            raise UserError(f"{key}: the network takes images of any {key}. Set {key}=<pixels>")
        if own is not None and given not in (None, own):
            raise UserError(f"{key}: the network takes {own} pixels, not {given}; leave {key} out")
        sides.append(own or given or 0)
    return sides[0], sides[1], signature.channels


def shown(shape: Sequence[int | None]) -> str:
    """A shape in words."""
    return f"[{', '.join('N' if i == 0 else '?' if n is None else str(n) for i, n in enumerate(shape))}]"


def image_axes(shape: Sequence[int | None]) -> bool:
    """Whether images of a shape ``[N, ...]`` have their channels first.

    Raises:
        UserError: They are no grey or colour images.
    """
    if len(shape) == 4 and shape[3] in (1, 3):
        return False
    if len(shape) == 4 and shape[1] in (1, 3):
        return True
    raise UserError(
        f"file: the network takes {shown(shape)}, must take images [N, height, width, channels] or "
        f"[N, channels, height, width] of 1 or 3 channels"
    )
