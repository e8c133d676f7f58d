"""Small graphs in floats and in integers, and what LiteRT makes of their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from u3p_edge.conversion.tflite import schema as flatbuffer
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantization, Quantized, Scheme

SHAPE = (6, 8, 2)
"""Of the image of `graph`."""

STEP = Quantization(0.05, 3)
"""Of every map in `integers`."""

FINE = Quantization(0.02, -128)
"""Smaller steps, for a map or two."""


def graph(nodes: Sequence[Node], shape: tuple[int, int, int] = SHAPE) -> Graph:
    """The nodes behind an input `image` [1, *shape], the last of them the output."""
    return Graph((Node("image", "input", (), {"shape": (None, *shape)}), *nodes), ("image",), (nodes[-1].name,))


def integers(of: Graph, **others: Quantization | None) -> Quantized:
    """The graph with every map in steps of `STEP` but for `others` (None: never materialised); random weights in int8."""
    rng = np.random.default_rng(5)
    tensors = {node.name: others.get(node.name, STEP) for node in of.nodes}
    nodes = tuple(_in_integers(node, rng) for node in of.nodes)
    kernels = {n.name: _scales(n) for n in nodes if "kernel" in n.weights}
    result = Graph(nodes, of.inputs, of.outputs)
    return Quantized(result, Scheme({name: pair for name, pair in tensors.items() if pair is not None}, kernels))


def _in_integers(node: Node, rng: np.random.Generator) -> Node:
    weights = {"kernel": rng.integers(-127, 128, node.weights["kernel"].shape, np.int8)} if "kernel" in node.weights else {}
    if "bias" in node.weights:
        weights["bias"] = rng.integers(-999, 1000, node.weights["bias"].shape, np.int32)
    return Node(node.name, node.op, node.inputs, node.attrs, weights)


def _scales(node: Node) -> np.ndarray:
    shape = node.weights["kernel"].shape
    count = shape[2] * shape[3] if node.op == "depthwise_conv" else shape[-1]
    return np.linspace(0.002, 0.005, count, dtype=np.float32)


def run(data: bytes, image: np.ndarray, reference: bool = False) -> np.ndarray:
    """The one output of a TFLite file for [1, H, W, C] in the input's own numbers, by XNNPACK or by reference kernels."""
    kernels = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    runner = Interpreter(model_content=data, experimental_op_resolver_type=kernels).get_signature_runner()
    (name,) = runner.get_input_details()
    (result,) = runner(**{name: image}).values()
    return np.array(result)


def random_image(shape: tuple[int, ...], dtype: Any, seed: int = 6) -> np.ndarray:
    """[1, *shape]: every int8, or floats around 0."""
    rng = np.random.default_rng(seed)
    if dtype == np.int8:
        return rng.integers(-128, 128, (1, *shape), np.int8)
    return rng.normal(size=(1, *shape)).astype(np.float32)


def not_delegated(data: bytes) -> list[str]:
    """The operators that XNNPACK leaves to TFLite's own kernels.

    A tensor inside a delegate's part has no memory: an operator whose output has memory, and is no delegate's output, runs
    by itself.
    """
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    operators = interpreter._get_ops_details()
    given = {index for op in operators if op["op_name"] == "DELEGATE" for index in op["outputs"]}

    def by_itself(op: dict[str, Any]) -> bool:
        try:
            interpreter.get_tensor(op["outputs"][0])
        except ValueError:
            return False
        return op["op_name"] != "DELEGATE" and op["outputs"][0] not in given

    return [op["op_name"] for op in operators if by_itself(op)]


def conv(name: str, source: str, inside: int = 2, outside: int = 3, **attrs: object) -> Node:
    """A 3x3 `same` convolution with random weights."""
    rng = np.random.default_rng(inside + outside)
    weights = {"kernel": rng.normal(size=(3, 3, inside, outside)), "bias": rng.normal(size=outside)}
    return Node(name, "conv", (source,), {"padding": "same", **attrs}, {k: v.astype(np.float32) for k, v in weights.items()})


def codes(data: bytes) -> list[str]:
    """The operators of a TFLite file, in order."""
    return [op.code for op in flatbuffer.parse_tflite(data).operators]


def both(of: Graph) -> tuple[bytes, bytes]:
    """The graph as a float32 file and, all maps in the same steps, as an int8 file."""
    return write_tflite(of), write_tflite(integers(of))
