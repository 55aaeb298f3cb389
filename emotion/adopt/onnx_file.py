"""A third-party ``.onnx`` file: what it takes and gives, and the same network with our steps before and behind it.

As for :mod:`emotion.adopt.litert_file`: the steps are nodes of the file's own graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emotion.adopt.plan import Plan, Signature, image_axes, shown
from emotion.base.errors import UserError

#: The oldest set of operations whose arithmetic broadcasts, as our steps need it.
_OLDEST = 7
_TYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
}
#: Operations that pass values on unchanged; and those that give logits.
_TRANSPARENT = (
    "Cast", "DequantizeLinear", "Dropout", "Flatten", "GlobalAveragePool", "Identity", "QuantizeLinear", "ReduceMean",
    "Reshape", "Squeeze",
)  # fmt: skip
_LINEAR = ("Add", "BatchNormalization", "Conv", "Gemm", "MatMul", "QLinearMatMul", "QGemm")


def read(data: bytes) -> Any:
    """The file as an object.

    Raises:
        UserError: It is damaged, older than our steps, or its weights are in another file.
    """
    try:
        model = onnx.load_model_from_string(data)
        version = max(v.version for v in model.opset_import if v.domain in ("", "ai.onnx"))
    except Exception as error:  # of protocol buffers, which have no base of their own
        raise UserError(f"file: damaged, no ONNX model ({str(error)[:200]})") from None
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in _tensors(model.graph, *model.functions)):
        raise UserError(
            "file: its weights are in another file, which is not read. Save it as one: "
            "onnx.save(onnx.load('theirs.onnx'), 'one.onnx')"
        )
    if version < _OLDEST:
        raise UserError(
            f"file: it is written with the operations of 2017 (opset {version}). Convert it first: "
            f"onnx.version_converter.convert_version(onnx.load('theirs.onnx'), 13)"
        )
    return model


def _tensors(*graphs: Any) -> Iterator[Any]:
    """All constants of graphs or functions, of those inside their nodes too."""
    for graph in graphs:
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for attribute in (attribute for node in graph.node for attribute in node.attribute):
            yield from (
                attribute.t,
                *attribute.tensors,
                attribute.sparse_tensor.values,
                attribute.sparse_tensor.indices,
            )
            yield from _tensors(*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs)


def signature(model: Any) -> Signature:
    """What the network takes and gives.

    Raises:
        UserError: Not one image in and one vector out, or of a type that no images have.
    """
    given = _inputs(model)
    if len(given) != 1:
        raise UserError(f"file: the network has {len(given)} inputs, must have one, an image")
    shapes = [_sizes(value) for value in model.graph.output]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] is None:
        raise UserError(f"labels: the network gives {', '.join(map(shown, shapes))}, must give [N, labels]")
    for value, what in ((given[0], "takes"), (model.graph.output[0], "gives")):
        if value.type.tensor_type.elem_type not in _TYPES:
            raise UserError(f"file: the network {what} values of a type that is no image's or probability's")
    shape = _sizes(given[0])
    planar = image_axes(shape)
    height, width = shape[2:] if planar else shape[1:3]
    channels = shape[1] if planar else shape[3]
    kind = _TYPES[given[0].type.tensor_type.elem_type]
    return Signature(shape[0], height, width, int(channels or 0), planar, kind, int(shapes[0][1]), _last(model))


def parameters(model: Any) -> int:
    """How many weights the network has: the numbers in its constants, but those of shapes and indices."""
    kinds = (*_TYPES, TensorProto.INT8)
    constants = list(model.graph.initializer)
    constants += [a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"]
    return sum(int(np.prod(t.dims)) for t in constants if t.data_type in kinds)


def _inputs(model: Any) -> list[Any]:
    weights = {tensor.name for tensor in model.graph.initializer}  # old files list them as inputs, too
    return [value for value in model.graph.input if value.name not in weights]


def _sizes(value: Any) -> list[int | None]:
    sizes = value.type.tensor_type.shape.dim
    return [n.dim_value if n.HasField("dim_value") and n.dim_value > 0 else None for n in sizes]


def _last(model: Any) -> str:
    made = {name: node for node in model.graph.node for name in node.output}
    wanted = model.graph.output[0].name
    while wanted in made:
        node = made.pop(wanted)
        if node.op_type not in _TRANSPARENT:
            return "linear" if node.op_type in _LINEAR else node.op_type.lower()
        wanted = node.input[0]
    return "an input"


def wrapped(model: Any, found: Signature, plan: Plan) -> bytes:
    """The network with the plan's steps, as a file; the object is changed."""
    (given,) = _inputs(model)
    steps = _Steps(model)
    steps.before(given, found, plan)
    steps.behind(plan, found.batch)
    return bytes(model.SerializeToString())


class _Steps:
    """Nodes that are added to a graph."""

    def __init__(self, model: Any) -> None:
        self._graph = model.graph
        self._nodes: list[Any] = []
        self._taken = {name for node in self._graph.node for name in (node.name, *node.input, *node.output)}

    def before(self, given: Any, found: Signature, plan: Plan) -> None:
        """Steps from uint8 images ``image`` to the network's input, which becomes an inner value."""
        height, width, channels = plan.contract.shape
        image = x = self._free("image")
        if plan.scale:
            x = self._node("Cast", x, to=TensorProto.FLOAT)
        if plan.repeat:
            x = self._node("Concat", x, x, x, axis=3)
        for operation, numbers in (("Mul", plan.scale), ("Add", plan.offset)):
            if numbers:
                x = self._node(operation, x, self._constant(np.array(numbers, np.float32)))
        if plan.swap:
            x = self._node("Gather", x, self._constant(np.array([2, 1, 0], np.int64)), axis=3)
        if found.planar:
            x = self._node("Transpose", x, perm=[0, 3, 1, 2])
        if plan.scale and found.dtype != "float32":
            x = self._node("Cast", x, to=given.type.tensor_type.elem_type)
        self._nodes.append(helper.make_node("Identity", [x], [given.name]))
        own = list(self._graph.node)
        del self._graph.node[:]
        self._graph.node.extend([*self._nodes, *own])
        self._graph.input.remove(given)
        sizes = ["N" if found.batch is None else found.batch, height, width, channels]
        self._graph.input.insert(0, helper.make_tensor_value_info(image, TensorProto.UINT8, sizes))

    def behind(self, plan: Plan, batch: int | None) -> None:
        """Steps from the network's output to ``probabilities`` in our order."""
        self._nodes, made = [], self._graph.output[0]
        x = made.name
        if made.type.tensor_type.elem_type != TensorProto.FLOAT:
            x = self._node("Cast", x, to=TensorProto.FLOAT)
        if plan.softmax:
            x = self._node("Softmax", x, axis=1)
        if plan.order:
            x = self._node("Gather", x, self._constant(np.array(plan.order, np.int64)), axis=1)
        probabilities = self._free("probabilities")
        self._graph.node.extend([*self._nodes, helper.make_node("Identity", [x], [probabilities])])
        sizes = ["N" if batch is None else batch, len(plan.contract.labels)]
        del self._graph.output[:]
        self._graph.output.append(helper.make_tensor_value_info(probabilities, TensorProto.FLOAT, sizes))

    def _node(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        name = self._free(operation)
        self._nodes.append(helper.make_node(operation, list(inputs), [name], name=name, **attributes))
        return name

    def _constant(self, numbers: Any) -> str:
        return self._node("Constant", value=numpy_helper.from_array(numbers))

    def _free(self, name: str) -> str:
        """A name that no value or node has."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name
