"""A third-party ``.tflite`` file: what it takes and gives, and the same network with our steps before and behind it.

The steps are operations in the file's own graph, so that the result is a model like any of ours: uint8 images in,
float32 probabilities out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils as flatbuffer

from emotion.adopt.plan import Plan, Signature, image_axes, shown
from emotion.base.errors import UserError

_TYPES = {
    schema.TensorType.FLOAT32: "float32",
    schema.TensorType.FLOAT16: "float16",
    schema.TensorType.UINT8: "uint8",
    schema.TensorType.INT8: "int8",
}
_OPERATIONS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_ACTIVATIONS = {code: name.lower() for name, code in vars(schema.ActivationFunctionType).items() if name[0] != "_"}
#: Operations that pass values on unchanged; and those that give logits where no activation is in them.
_TRANSPARENT = ("CAST", "DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE", "MEAN", "AVERAGE_POOL_2D")
_VERSIONS = {"DEQUANTIZE": 2, "CONCATENATION": 2, "GATHER": 2, "TRANSPOSE": 2}
_LINEAR = ("FULLY_CONNECTED", "ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL", "MUL")


def read(data: bytes) -> Any:
    """The file as an object.

    Raises:
        UserError: It is damaged.
    """
    try:
        model = flatbuffer.read_model_from_bytearray(data)
        _ = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    except Exception as error:  # a damaged file can fail anywhere
        raise UserError(f"file: damaged, no LiteRT model ({type(error).__name__}: {str(error)[:200]})") from None
    return model


def signature(model: Any) -> Signature:
    """What the network takes and gives.

    Raises:
        UserError: Not one image in and one vector out, or of a type that no images have.
    """
    graph = model.subgraphs[0]
    if len(graph.inputs) != 1:
        raise UserError(f"file: the network has {len(graph.inputs)} inputs, must have one, an image")
    given, made = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    shapes = [_sizes(graph.tensors[i]) for i in graph.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] is None:
        raise UserError(f"labels: the network gives {', '.join(map(shown, shapes))}, must give [N, labels]")
    for tensor, what in ((given, "takes"), (made, "gives")):
        if tensor.type not in _TYPES:
            raise UserError(f"file: the network {what} values of a type that is no image's or probability's")
    shape = _sizes(given)
    planar = image_axes(shape)
    height, width = shape[2:] if planar else shape[1:3]
    channels = shape[1] if planar else shape[3]
    return Signature(
        shape[0], height, width, int(channels or 0), planar, _TYPES[given.type], int(shapes[0][1]), _last(model)
    )


def parameters(model: Any) -> int:
    """How many weights the network has: the numbers in its constant tensors, but those of shapes and indices."""
    kinds = (*_TYPES, schema.TensorType.INT4, schema.TensorType.FLOAT64)
    constant = [
        t for t in model.subgraphs[0].tensors if t.type in kinds and model.buffers[t.buffer].data is not None
    ]  # fmt: skip
    return sum(int(np.prod(t.shape)) for t in constant)


def _sizes(tensor: Any) -> list[int | None]:
    """Its shape, with None for what may change."""
    shape = [] if tensor.shape is None else [int(n) for n in tensor.shape]
    signs = None if tensor.shapeSignature is None else [int(n) for n in tensor.shapeSignature]
    return [None if n < 0 else n for n in (signs if signs and len(signs) == len(shape) else shape)]


def _last(model: Any) -> str:
    graph, wanted = model.subgraphs[0], model.subgraphs[0].outputs[0]
    for operator in reversed(graph.operators):
        if wanted not in operator.outputs:
            continue
        name = str(
            _OPERATIONS[flatbuffer.get_builtin_code_from_operator_code(model.operatorCodes[operator.opcodeIndex])]
        )
        if name in _TRANSPARENT:
            wanted = operator.inputs[0]
            continue
        fused = _ACTIVATIONS[getattr(operator.builtinOptions, "fusedActivationFunction", 0)]
        if name in _LINEAR:
            return "linear" if fused == "none" else fused
        return {"LOGISTIC": "sigmoid"}.get(name, name.lower())
    return "an input"


def wrapped(model: Any, found: Signature, plan: Plan) -> bytes:
    """The network with the plan's steps, as a file; the object is changed."""
    graph = _Graph(model, found.batch)
    graph.before(found, plan)
    graph.behind(plan)
    return bytes(flatbuffer.convert_object_to_bytearray(model))


@dataclass(frozen=True)
class _Step:
    operation: str
    options: Any
    shape: tuple[int, ...]  #: of one of its outputs
    kind: int  #: of its output
    constant: Any = None  #: its second input
    copies: int = 1  #: how often the value is given


def _before(found: Signature, plan: Plan) -> Iterator[_Step]:
    """Steps from uint8 images to the network's input."""
    types, (height, width, channels) = schema.TensorType, plan.contract.shape
    kind, shape = types.FLOAT32 if plan.scale else types.UINT8, (height, width, found.channels)
    if plan.scale:
        yield _Step("CAST", schema.CastOptionsT(types.UINT8, kind), (height, width, channels), kind)
    if plan.repeat:
        yield _Step("CONCATENATION", schema.ConcatenationOptionsT(axis=3), shape, kind, copies=3)
    if plan.scale:
        yield _Step("MUL", schema.MulOptionsT(), shape, kind, np.array(plan.scale, np.float32))
        yield _Step("ADD", schema.AddOptionsT(), shape, kind, np.array(plan.offset, np.float32))
    if plan.swap:
        yield _Step("GATHER", schema.GatherOptionsT(axis=3), shape, kind, np.array([2, 1, 0], np.int32))
    if found.planar:
        shape = (found.channels, height, width)
        yield _Step("TRANSPOSE", schema.TransposeOptionsT(), shape, kind, np.array([0, 3, 1, 2], np.int32))
    if plan.scale and found.dtype in ("uint8", "int8"):
        yield _Step("QUANTIZE", schema.QuantizeOptionsT(), shape, getattr(types, found.dtype.upper()))
    if found.dtype == "float16":
        yield _Step("CAST", schema.CastOptionsT(kind, types.FLOAT16), shape, types.FLOAT16)


def _behind(given: int, plan: Plan) -> Iterator[_Step]:
    """Steps from the network's output, of a type, to probabilities in our order."""
    kind, shape = schema.TensorType.FLOAT32, (len(plan.contract.labels),)
    if given in (schema.TensorType.UINT8, schema.TensorType.INT8):
        yield _Step("DEQUANTIZE", schema.DequantizeOptionsT(), shape, kind)
    elif given == schema.TensorType.FLOAT16:
        yield _Step("CAST", schema.CastOptionsT(given, kind), shape, kind)
    if plan.softmax:
        yield _Step("SOFTMAX", schema.SoftmaxOptionsT(beta=1.0), shape, kind)
    if plan.order:
        yield _Step("GATHER", schema.GatherOptionsT(axis=1), shape, kind, np.array(plan.order, np.int32))


class _Graph:
    """A model's first subgraph, to which operations are added."""

    def __init__(self, model: Any, batch: int | None) -> None:
        self._model, self._graph, self._batch = model, model.subgraphs[0], batch
        self._number = 0

    def before(self, found: Signature, plan: Plan) -> None:
        """Steps from uint8 images to the network's input, which becomes an inner tensor."""
        target = self._graph.inputs[0]
        steps = list(_before(found, plan))
        if steps:
            image = self._tensor(plan.contract.shape, schema.TensorType.UINT8, "image", target)
            operators = self._operators(steps, image, target)
            self._graph.operators = [*operators, *self._graph.operators]
            self._graph.inputs = [image]
        entry = schema.TensorMapT(name="image", tensorIndex=self._graph.inputs[0])
        self._model.signatureDefs = [schema.SignatureDefT([entry], None, "serving_default", 0)]

    def behind(self, plan: Plan) -> None:
        """Steps from the network's output to probabilities in our order."""
        steps = list(_behind(self._graph.tensors[self._graph.outputs[0]].type, plan))
        if steps:
            target = self._tensor((len(plan.contract.labels),), schema.TensorType.FLOAT32, "probabilities")
            operators = self._operators(steps, self._graph.outputs[0], target)
            self._graph.operators = [*self._graph.operators, *operators]
            self._graph.outputs = [target]
        entry = schema.TensorMapT(name="probabilities", tensorIndex=self._graph.outputs[0])
        self._model.signatureDefs[0].outputs = [entry]

    def _operators(self, steps: Sequence[_Step], x: int, target: int) -> list[Any]:
        """Operations one after the other from a tensor to another."""
        operators = []
        for number, step in enumerate(steps, 1):
            inputs = [x] * step.copies + ([] if step.constant is None else [self._constant(step.constant)])
            x = target if number == len(steps) else self._tensor(step.shape, step.kind, step.operation.lower(), target)
            code = getattr(schema.BuiltinOperator, step.operation)
            self._model.operatorCodes.append(
                schema.OperatorCodeT(min(code, 127), None, _VERSIONS.get(step.operation, 1), code)
            )
            kind = getattr(schema.BuiltinOptions, type(step.options).__name__.removesuffix("T"))
            place = len(self._model.operatorCodes) - 1
            operators.append(schema.OperatorT(place, inputs, [x], kind, step.options))
        return operators

    def _constant(self, numbers: Any) -> int:
        self._model.buffers.append(schema.BufferT(data=numbers.view(np.uint8)))
        kind = {"f": schema.TensorType.FLOAT32, "i": schema.TensorType.INT32}[numbers.dtype.kind]
        self._graph.tensors.append(
            schema.TensorT(list(numbers.shape), kind, len(self._model.buffers) - 1, self._fresh("constant"))
        )
        return len(self._graph.tensors) - 1

    def _tensor(self, shape: Sequence[int], kind: int, name: str, like: int | None = None) -> int:
        signs = [-1 if self._batch is None else self._batch, *shape]
        tensor = schema.TensorT([abs(signs[0]), *shape], kind, 0, self._fresh(name), shapeSignature=signs)
        if like is not None and self._graph.tensors[like].type == kind != schema.TensorType.FLOAT32:
            tensor.quantization = self._graph.tensors[like].quantization  # operations on bytes want the same scale
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _fresh(self, name: str) -> str:
        self._number += 1
        return f"emotion/{self._number}/{name}"
