"""The integers of an int8 TFLite file, written as an ONNX file in QDQ form.

Every weight, bias, scale and zero point is the TFLite file's own, so both formats are one integer network; no second
calibration takes place. Each operator becomes DequantizeLinear -> float operator -> QuantizeLinear, the form that
ONNX Runtime and OpenVINO fuse into integer kernels. Maps are NCHW inside; the input `image` and the output `mask`
stay NHWC as in TFLite.

Maps are stored as uint8, every integer and zero point 128 higher than in TFLite, which changes no value: ONNX Runtime
fuses int8 maps on x86 only where a tensor has a single reader, and leaves convolutions in float beside the others
(18 of 35 of a UNet 3+, seen in ONNX Runtime 1.31). `image` and `mask` are int8, as in TFLite.

A fused ReLU needs no node when the output's zero point is its lowest integer: the saturation of QuantizeLinear is
the ReLU then.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
from onnx import helper

from u3p_edge.config import METADATA_KEY, QUANTIZATION_KEY, Metadata
from u3p_edge.errors import ModelError
from u3p_edge.export.flatbuffer import Operator, Tensor, TFLiteGraph
from u3p_edge.export.onnx_operators import OPERATORS
from u3p_edge.export.onnx_pieces import (
    TO_NCHW,
    TO_NHWC,
    Emission,
    constant,
    dequantize,
    quantize,
    real,
    store,
    transpose,
)

OPSET = 17
IR_VERSION = 8
_RELU, _RELU6 = 1, 3  # schema.ActivationFunctionType
_SELF_CLAMPING = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MUL", "SUB"})


def to_onnx(graph: TFLiteGraph, metadata: Metadata) -> onnx.ModelProto:
    """An int8 TFLite graph as an ONNX model in QDQ form (opset 17), checked by onnx.checker.

    Raises:
        ModelError: an operator that this exporter does not know, by name.
    """
    emission = _enter(graph)
    for index, op in enumerate(graph.operators):
        emission += _operator(graph, op, index)
    emission += _leave(graph)
    image, mask = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    values = [_value_info("image", image)], [_value_info("mask", mask)]
    model = helper.make_model(
        helper.make_graph(list(emission.nodes), "unet3plus", *values, list(emission.constants)),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="u3p_edge",
        producer_version=metadata.version,
    )
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json(), **_io_quantization(image, mask)})
    onnx.checker.check_model(model, full_check=True)
    return model


def count_convolutions(graph: TFLiteGraph) -> int:
    """How many convolutions a runtime must execute on integers."""
    return sum(op.code in ("CONV_2D", "DEPTHWISE_CONV_2D") for op in graph.operators)


def _io_quantization(image: Tensor, mask: Tensor) -> dict[str, str]:
    if not image.scale.size or not mask.scale.size:
        return {}
    pairs = {name: [float(t.scale[0]), int(t.zero_point[0])] for name, t in (("image", image), ("mask", mask))}
    return {QUANTIZATION_KEY: json.dumps(pairs)}


def _value_info(name: str, tensor: Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(tensor.dtype), tensor.shape)


def _enter(graph: TFLiteGraph) -> Emission:
    """The int8 `image` as a stored NCHW map."""
    first = graph.inputs[0]
    image = graph.tensors[first]
    entered = dequantize(image, "image", "image_real") + transpose("image_real", "image_nchw", TO_NCHW)
    return entered + store(image, "image_nchw", first)


def _leave(graph: TFLiteGraph) -> Emission:
    last = graph.outputs[0]
    return transpose(real(last), "mask_real", TO_NHWC) + quantize(graph.tensors[last], "mask_real", "mask")


def _operator(graph: TFLiteGraph, op: Operator, index: int) -> Emission:
    """One operator: its inputs dequantized, the operation in float, its output quantized."""
    target = op.outputs[0]
    translate = OPERATORS.get(op.code)
    if translate is None:
        raise ModelError(
            f"the TFLite operator {op.code} has no ONNX form here",
            mend="Export with --formats tflite, or tell us of the model.",
        )
    raw = f"y{index}"
    emission = translate(graph, op, index, raw)
    if op.code in _SELF_CLAMPING:
        raw, clamp = _activation(graph.tensors[target], op, raw, index)
        emission += clamp
    return emission + store(_kept_apart(op, graph.tensors[target]), raw, target)


def _kept_apart(op: Operator, output: Tensor) -> Tensor:
    """The output of a bilinear resize, its scale one float32 step above its input's; every other output as it is.

    Between equal scales older ONNX Runtimes drop the quantizers around a linear Resize and interpolate integers, which
    truncates where TFLite rounds (seen in 1.23, not in 1.31: off by half a step on average after one resize). A step of
    6e-8 of the scale moves no value, and keeps them.
    """
    if op.code != "RESIZE_BILINEAR" or not output.scale.size:
        return output
    return dataclasses.replace(output, scale=np.nextafter(output.scale, np.float32(np.inf)))


def _activation(output: Tensor, op: Operator, source: str, index: int) -> tuple[str, Emission]:
    """The operator's fused activation, unless the saturation of the output's integers is that activation already."""
    kind = int(op.options.get("fusedActivationFunction", 0))
    if kind == 0:
        return source, Emission()
    saturates_below = output.scale.size and int(output.zero_point[0]) == np.iinfo(output.dtype).min
    if kind == _RELU:
        if saturates_below:
            return source, Emission()
        return f"r{index}", Emission((helper.make_node("Relu", [source], [f"r{index}"]),))
    if kind == _RELU6:
        limits = [constant(f"{end}{index}", np.float32(v)) for end, v in (("low", 0.0), ("high", 6.0))]
        node = helper.make_node("Clip", [source, f"low{index}", f"high{index}"], [f"r{index}"])
        return f"r{index}", Emission((node,), tuple(limits))
    raise ModelError(f"the fused activation {kind} of {op.code} has no ONNX form here")
