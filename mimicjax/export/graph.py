"""The policy as an ONNX graph: normaliser, network and its mirror image, joint targets, and the clip by time step.

Written with the `onnx` package itself: a policy is some twenty operators. Inputs, outputs and their names are those of
BeyondMimic's and mjlab's exports, so that their players find what they look for; `joint_targets` is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mimicjax.errors import UserError
from mimicjax.export.reference import Baked
from mimicjax.learn import normalizers
from mimicjax.types import Reflection

OPSET, IR = 17, 8  # what ONNX Runtime reads since 2022
REFERENCE = Baked._fields


class Actor(NamedTuple):
    """What of a policy is exported, as numpy arrays."""

    mean: np.ndarray  # [O] of the normaliser
    std: np.ndarray  # [O]
    layers: Sequence[
        tuple[np.ndarray, np.ndarray]
    ]  # kernel [I,H] and bias [H], from the first hidden layer to the last
    mirror: tuple[Reflection, Reflection] | None  # of observation and action
    base: np.ndarray  # [T,D] rad, the joint targets of an action of zero at every time step; or [1,D]: the same at all
    scale: np.ndarray  # [D] rad for an output of 1
    low: np.ndarray  # [D] rad, lowest target
    high: np.ndarray  # [D]


class _Graph:
    """Nodes and constants, put together one after the other."""

    def __init__(self, onnx: Any):
        self.onnx, self.nodes, self.constants = onnx, [], []

    def constant(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output


def library() -> Any:
    """The `onnx` package. Raises UserError where it is not installed."""
    try:
        import onnx
    except ImportError:
        raise UserError('onnx is not installed: pip install onnx, or ".[export]" here') from None
    return onnx


def _network(graph: _Graph, actor: Actor, seen: str, prefix: str) -> str:
    """Means of the network for normalised observations [B,O]; constants are shared by its two uses."""
    for number in range(len(actor.layers)):
        last = number == len(actor.layers) - 1
        out = graph.node("Gemm", [seen, f"kernel_{number}", f"bias_{number}"], f"{prefix}_layer_{number}")
        seen = out if last else graph.node("Relu", [out], f"{prefix}_relu_{number}")
    return seen


def _policy(graph: _Graph, actor: Actor) -> None:
    """obs [B,O] -> actions [B,D], joint_targets [B,D]."""
    centred = graph.node("Sub", ["obs", graph.constant("obs_mean", actor.mean)], "obs_centred")
    scaled = graph.node("Div", [centred, graph.constant("obs_std", actor.std)], "obs_scaled")
    limits = [
        graph.constant("obs_low", np.float32(-normalizers.CLIP)),
        graph.constant("obs_high", np.float32(normalizers.CLIP)),
    ]
    seen = graph.node("Clip", [scaled, *limits], "obs_normalised")
    for number, (kernel, bias) in enumerate(actor.layers):
        graph.constant(f"kernel_{number}", kernel)
        graph.constant(f"bias_{number}", bias)
    own = _network(graph, actor, seen, "own")
    if actor.mirror is None:
        graph.node("Identity", [own], "actions")
        return
    image = _reflect(graph, actor.mirror[0], seen, "mirror_obs")
    back = _reflect(graph, actor.mirror[1], _network(graph, actor, image, "image"), "mirror_action")
    total = graph.node("Add", [own, back], "both")
    graph.node("Mul", [total, graph.constant("half", np.float32(0.5))], "actions")


def _reflect(graph: _Graph, mirror: Reflection, vector: str, name: str) -> str:
    picked = graph.node(
        "Gather", [vector, graph.constant(f"{name}_index", mirror.index, np.int64)], f"{name}_picked", axis=1
    )
    return graph.node("Mul", [picked, graph.constant(f"{name}_sign", mirror.sign)], name)


def _targets(graph: _Graph, actor: Actor) -> None:
    turned = graph.node("Mul", ["actions", graph.constant("action_scale", actor.scale)], "turned")
    table = graph.constant("target_base", actor.base)
    base = graph.node("Gather", [table, "row"], "base", axis=0) if len(actor.base) > 1 else table
    wanted = graph.node("Add", [base, turned], "targets_unlimited")
    above = graph.node("Max", [wanted, graph.constant("target_low", actor.low)], "targets_above")
    graph.node("Min", [above, graph.constant("target_high", actor.high)], "joint_targets")


def build(actor: Actor, baked: Baked, metadata: dict[str, str], name: str) -> Any:
    """The checked ModelProto. Raises UserError without the `onnx` package."""
    onnx = library()
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph, steps = _Graph(onnx), len(baked.joint_pos)
    flat = graph.node("Reshape", ["time_step", graph.constant("flat", [-1], np.int64)], "flat_step")
    whole = graph.node("Cast", [flat], "whole_step", to=onnx.TensorProto.INT64)
    limits = [graph.constant("first", 0, np.int64), graph.constant("last", steps - 1, np.int64)]
    graph.node("Clip", [whole, *limits], "row")  # behind its end a clip stands still
    _policy(graph, actor)
    _targets(graph, actor)
    joints = actor.scale.shape[0]
    outputs = [helper.make_tensor_value_info(each, floats, ["batch", joints]) for each in ("actions", "joint_targets")]
    for field in REFERENCE:
        rows = getattr(baked, field)
        graph.node("Gather", [graph.constant(f"clip_{field}", rows), "row"], field, axis=0)
        outputs.append(helper.make_tensor_value_info(field, floats, ["batch", *rows.shape[1:]]))
    inputs = [
        helper.make_tensor_value_info("obs", floats, ["batch", len(actor.mean)]),
        helper.make_tensor_value_info("time_step", floats, ["batch", 1]),
    ]
    made = helper.make_graph(graph.nodes, name, inputs, outputs, graph.constants)
    model = helper.make_model(
        made, producer_name="mimicjax", ir_version=IR, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model
