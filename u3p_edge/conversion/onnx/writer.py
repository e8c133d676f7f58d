"""Write a network as an ONNX file: float32, or its integers in QDQ form. No TensorFlow.

    Graph or Quantized ─ the same operators as in TFLite, without layouts ─► nodes and constants of each ─► ONNX

So both formats hold the same network. Maps are NCHW inside the file; the input `image` and the output `mask` stay NHWC, as in
TFLite.

In integers each operator becomes DequantizeLinear -> float operator -> QuantizeLinear, the form that ONNX Runtime and OpenVINO
fuse into integer kernels. An operator that only moves values moves the integers, see `moves`. Maps are stored as uint8: every
integer and zero point is 128 higher than in TFLite, which changes no value. The reason is that ONNX Runtime on x86 fuses int8
maps only where a tensor has a single reader. Next to other tensors it leaves the convolutions in float (18 of 35 of a UNet 3+,
seen in ONNX Runtime 1.31). `image` and `mask` are int8, as in TFLite.

A fused ReLU needs no node when the output's zero point is its lowest integer: then the saturation of QuantizeLinear acts as
the ReLU.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
from onnx import helper

from u3p_edge.config.metadata import METADATA_KEY, QUANTIZATION_KEY, Metadata
from u3p_edge.conversion.onnx.moves import MOVES
from u3p_edge.conversion.onnx.operators import OPERATORS, resize_node
from u3p_edge.conversion.onnx.pieces import (
    TO_NCHW,
    TO_NHWC,
    Emission,
    dequantize,
    quantize,
    real,
    store,
    stored,
    to_initializer,
    transpose,
    unsigned,
    without_identities,
)
from u3p_edge.conversion.tflite.schema import Operator, Tensor, TFLiteGraph
from u3p_edge.conversion.tflite.writer import lower_graph
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.logits import fit_output
from u3p_edge.graph.scheme import Quantized

OPSET = 17
IR_VERSION = 8
_RELU, _RELU6 = 1, 3  # schema.ActivationFunctionType
ABOVE = 2.0**-19
"""The fraction by which an interpolated value is raised, so that halves are rounded up.

It must be more than what float32 loses in the computation: three products, a sum and a quotient, 2^-24 each. And for a value of
255 steps, the raise must be less than the distance from the last value below a half to that half. This distance is 1/1024 for a
factor of 16 along both axes, and the raise is 255 * 2^-19 = 1/2056."""

_SELF_CLAMPING = frozenset(
    (
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "TRANSPOSE_CONV",
        "FULLY_CONNECTED",
        "ADD",
        "MUL",
        "SUB",
        "DIV",
        "MAX_POOL_2D",
        "AVERAGE_POOL_2D",
    )
)


def write_onnx(network: Graph | Quantized, metadata: Metadata, *, float_io: bool = False) -> bytes:
    """Return an ONNX file (opset 17) that computes the network, checked by onnx.checker. The same network gives the same bytes.

    Args:
        network: a graph with float32 weights and batch normalisation folded, or a network in integers; one input, one output.
        metadata: stored in the file's metadata_props; `metadata.output` says what `mask` is.
        float_io: whether to put a float32 `image` and `mask` around a network in integers.

    Raises:
        ModelError: for an op, an activation or an attribute that has no ONNX form; the message names the node.
    """
    file = lower_graph(fit_output(network, metadata.output), float_io=float_io, layouts=False)
    return bytes(to_model(file, metadata).SerializeToString(deterministic=True))


def to_model(graph: TFLiteGraph, metadata: Metadata) -> onnx.ModelProto:
    """Translate the operators of a network, in plain layout, to an ONNX model. Raises ModelError as `write_onnx` does."""
    emission = _enter(graph)
    for index, op in enumerate(graph.operators):
        emission += _operator(graph, op, index)
    image, mask = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    if metadata.output == "labels":
        emission, mask = emission + _leave_labels(graph), _labels_of(mask)
    else:
        emission += _leave(graph)
    emission = _needed(without_identities(emission, keep="mask"))
    values = [_value_info("image", image)], [_value_info("mask", mask)]
    model = helper.make_model(
        helper.make_graph(list(emission.nodes), "unet3plus", *values, list(emission.constants)),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="u3p_edge",
        producer_version=metadata.version,
    )
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json(), **_io_quantization(image, mask)})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"the network has no valid ONNX form: {str(error).splitlines()[0][:200]}") from error
    return model


def _needed(emission: Emission) -> Emission:
    """Keep only what `mask` is computed from: a subtraction reads its operand's integers, so its real values may be unused."""
    read, nodes = {"mask"}, list[onnx.NodeProto]()
    for node in reversed(emission.nodes):
        if read.intersection(node.output):
            nodes.append(node)
            read.update(node.input)
    return Emission(tuple(reversed(nodes)), tuple(value for value in emission.constants if value.name in read))


def _io_quantization(image: Tensor, mask: Tensor) -> dict[str, str]:
    ports = {name: port for name, port in (("image", image), ("mask", mask)) if port.scale.size}
    pairs = {name: [float(port.scale[0]), int(port.zero_point[0])] for name, port in ports.items()}
    return {QUANTIZATION_KEY: json.dumps(pairs)} if pairs else {}


def _value_info(name: str, tensor: Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(tensor.dtype), tensor.shape)


def _enter(graph: TFLiteGraph) -> Emission:
    """Turn the int8 `image` into a stored NCHW map."""
    first = graph.inputs[0]
    image = graph.tensors[first]
    entered = dequantize(image, "image", "image_real") + transpose("image_real", "image_nchw", TO_NCHW)
    return entered + store(image, "image_nchw", first)


def _leave(graph: TFLiteGraph) -> Emission:
    last = graph.outputs[0]
    return transpose(real(last), "mask_real", TO_NHWC) + quantize(graph.tensors[last], "mask_real", "mask")


def _leave_labels(graph: TFLiteGraph) -> Emission:
    """Give the label of each pixel, from logits: the class of the largest, by the integers; 1 where the only one is >= 0."""
    last = graph.outputs[0]
    if graph.tensors[last].shape[3] > 1:
        winner = helper.make_node("ArgMax", [stored(last)], ["mask_class"], axis=TO_NCHW.index(3), keepdims=0)
        return Emission((winner, helper.make_node("Cast", ["mask_class"], ["mask"], to=onnx.TensorProto.UINT8)))
    zero, axis = to_initializer("mask_zero", np.float32(0)), to_initializer("mask_axis", np.asarray([1], np.int64))
    nodes = (
        helper.make_node("GreaterOrEqual", [real(last), zero.name], ["mask_signs"]),
        helper.make_node("Squeeze", ["mask_signs", axis.name], ["mask_flat"]),
        helper.make_node("Cast", ["mask_flat"], ["mask"], to=onnx.TensorProto.UINT8),
    )
    return Emission(nodes, (zero, axis))


def _labels_of(logits: Tensor) -> Tensor:
    none = np.zeros(0, np.float32), np.zeros(0, np.int64)
    return dataclasses.replace(logits, shape=logits.shape[:3], dtype=np.dtype(np.uint8), scale=none[0], zero_point=none[1])


def _operator(graph: TFLiteGraph, op: Operator, index: int) -> Emission:
    """Translate one operator: its inputs are dequantized, the operation is in float, its output is quantized."""
    target = op.outputs[0]
    if op.code in MOVES:  # the integers are moved, and mean the same
        moved = MOVES[op.code](graph, op, index, stored(target))
        return moved + dequantize(unsigned(graph.tensors[target]), stored(target), real(target))
    translate = OPERATORS.get(op.code)
    if translate is None:
        raise ModelError(
            f"{graph.tensors[target].name!r} ({op.code}) has no ONNX form here",
            mend="Use the TFLite file; --formats tflite makes no ONNX file.",
        )
    if op.code == "RESIZE_BILINEAR" and graph.tensors[target].scale.size:
        return _interpolation(graph, op, index)
    raw = f"y{index}"
    emission = translate(graph, op, index, raw)
    if op.code in _SELF_CLAMPING:
        raw, clamp = _activation(graph.tensors[target], op, raw, index)
        emission += clamp
    return emission + store(graph.tensors[target], raw, target)


def _interpolation(graph: TFLiteGraph, op: Operator, index: int) -> Emission:
    """Translate a bilinear resize so that halves are rounded up, as XNNPACK does.

    QuantizeLinear alone rounds halves to even, and between integers a factor of two along one axis gives a half in every fourth
    pixel. Counted from 0 instead of from the zero point, no integer is negative. Then an input scale that is larger by the
    fraction `ABOVE` lifts every half over the rounding boundary. Unequal scales also keep the operator in float32: between
    equal ones, older ONNX Runtimes interpolate the integers and truncate (seen in 1.23, not in 1.31).
    """
    source, target = (unsigned(graph.tensors[i]) for i in (op.inputs[0], op.outputs[0]))
    kept, lifted = _from_zero(target), dataclasses.replace(_from_zero(source), scale=source.scale * np.float32(1 + ABOVE))
    read = dequantize(lifted, stored(op.inputs[0]), f"x{index}_real")
    grown = resize_node(graph, op, index, f"x{index}_real", f"y{index}")
    written = quantize(kept, f"y{index}", stored(op.outputs[0]))
    return read + grown + written + dequantize(target, stored(op.outputs[0]), real(op.outputs[0]))


def _from_zero(tensor: Tensor) -> Tensor:
    return dataclasses.replace(tensor, zero_point=np.zeros_like(tensor.zero_point))


def _activation(output: Tensor, op: Operator, source: str, index: int) -> tuple[str, Emission]:
    """Add the operator's fused activation, unless the saturation of the output's integers already has its effect.

    Where the activation stays a node, the value before it is first rounded to the output's integers. This changes no result
    (the integers contain zero, and rounding keeps the order), and it lets the operator itself run on integers.
    """
    kind = int(op.options.get("fusedActivationFunction", 0))
    if kind == 0:
        return source, Emission()
    if kind not in (_RELU, _RELU6):
        raise ModelError(f"the fused activation {kind} of {op.code} has no ONNX form here")
    if kind == _RELU and output.scale.size and int(output.zero_point[0]) == np.iinfo(output.dtype).min:
        return source, Emission()
    rounded, kept = f"c{index}", unsigned(output)
    emission = quantize(kept, source, f"{rounded}_q") + dequantize(kept, f"{rounded}_q", rounded)
    if kind == _RELU:
        return f"r{index}", emission + Emission((helper.make_node("Relu", [rounded], [f"r{index}"]),))
    limits = [to_initializer(f"{end}{index}", np.float32(v)) for end, v in (("low", 0.0), ("high", 6.0))]
    node = helper.make_node("Clip", [rounded, f"low{index}", f"high{index}"], [f"r{index}"])
    return f"r{index}", emission + Emission((node,), tuple(limits))
