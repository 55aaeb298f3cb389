"""What a SavedModel would do besides arithmetic: its graph may read and write files, print, or call other servers.

TensorFlow's advice is to treat a model as a program; here only those programs run that have no such operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from emotion.base.errors import UserError

#: Stateful operations that stay within the process: variables, calls, control flow, random numbers.
_HARMLESS = re.compile(
    r"VarHandleOp|VariableV2|ReadVariableOp|Assign\w*VariableOp|DisableCopyOnRead|VarIsInitializedOp|Assert|Placeholder"
    r"|(Stateful)?PartitionedCall|If|While|Case|Stateless\w+|Random\w+|Multinomial|TruncatedNormal|RngSkip|\w+RngSkip"
    r"|ResourceGather(Nd)?|VariableShape|FusedBatchNorm\w*"
)
#: Operations without state that read a file or hand out what does.
_READS = re.compile(
    r".*(File|Restore|Reader|Dataset|Vocab|LoadAndRemap|Proto|Checkpoint|Save|Print|PyFunc|Debug|Summary).*"
)
#: What the saver's own two functions hold, which nothing calls when a model is loaded or run.
_SAVER = {"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "AssignVariableOp", "ReadVariableOp",
          "DisableCopyOnRead"}  # fmt: skip


def check(folder: Path) -> None:
    """Refuse a SavedModel whose graph does more than arithmetic.

    Args:
        folder: Holds ``saved_model.pb``.

    Raises:
        UserError: Names the operations.
        OSError, google.protobuf.message.DecodeError: The file is not there, or not one.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    found = sorted({name for graph in model.meta_graphs for name in _harmful(graph)})
    if found:
        raise UserError(
            f"{folder}: its graph holds operations that reach outside the model: {', '.join(found)[:200]}. A model "
            f"that labels faces needs none, so it is not run. Take the run's checkpoint, or export it again: "
            f"python -m emotion.export run=<id>"
        )


def _harmful(graph: Any) -> Iterator[str]:
    functions = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    nodes = list(graph.graph_def.node)
    saver = {
        name.partition(":")[0] for name in (graph.saver_def.save_tensor_name, graph.saver_def.restore_op_name) if name
    }
    concrete = list(graph.object_graph_def.concrete_functions)
    if not concrete:  # of TensorFlow 1: there the saver's functions are run
        saver = set()
    used = _reached([n for n in nodes if n.name not in saver], concrete, functions)
    own = _reached([n for n in nodes if n.name in saver], [], functions) - used
    for node in nodes + [node for name in used for node in functions.get(name, ())]:
        if _is_harmful(node.op):
            yield node.op
    for node in (node for name in own for node in functions.get(name, ())):
        if node.op not in _SAVER and _is_harmful(node.op):
            yield node.op


def _reached(nodes: Iterable[Any], names: Iterable[str], functions: dict[str, Any]) -> set[str]:
    """The functions that nodes call, and those that they call in turn."""
    reached: set[str] = set()
    waiting = [*names, *_called(nodes)]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _called(functions.get(name, ()))
    return reached


def _called(nodes: Iterable[Any]) -> list[str]:
    names = []
    for node in nodes:
        names.append(node.op)  # of a function that is called by its name
        for value in node.attr.values():
            names += [function.name for function in ([value.func] if value.HasField("func") else value.list.func)]
    return names


def _is_harmful(op: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    if definition is None:  # a call of a function by its name, or nothing that this TensorFlow knows
        return False
    return bool(definition.is_stateful and not _HARMLESS.fullmatch(op)) or bool(_READS.fullmatch(op))
