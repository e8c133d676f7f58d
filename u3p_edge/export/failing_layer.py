"""Name the layer on which a converter fails. The converter's own message names its internal operators at best."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tf_keras

from u3p_edge.errors import ModelError, U3pEdgeError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras, to_keras

Convert = Callable[[tf_keras.Model], object]

_IMAGE_RANK = 4
_REASON = 200
"""How many characters of a library's message are shown."""


@contextlib.contextmanager
def name_failing_layer(model: tf_keras.Model, target: str, convert: Convert) -> Iterator[None]:
    """Turn whatever a library raises inside the block into a ModelError that names the layer on which it fails.

    The layer is found by converting each kind of layer alone. This takes a second or so, and is done only after a failure.

    Args:
        model: the model that is being converted.
        target: what the model is converted to, for the message, such as "float32 ONNX".
        convert: converts another model in the same way.

    Raises:
        ModelError: for every exception except those of the machine (no memory, no space) and this package's own.
    """
    try:
        yield
    except (U3pEdgeError, MemoryError, OSError):
        raise
    except Exception as error:  # TensorFlow, tf2onnx and ONNX raise almost anything for a layer that they do not know
        what, reason = _failing_layer(model, convert) or ("the model", error)
        raise ModelError(f"{what} cannot be converted to {target}: {first_sentence(reason)}") from error


def first_sentence(error: Exception) -> str:
    """Return the first line of an exception's message, cut where it is long; the exception's class where it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0][:_REASON] if lines else type(error).__name__


def _describe(node: Node) -> str:
    function = node.attrs.get("function", node.attrs.get("activation", "linear"))
    return node.op if function == "linear" else f"{node.op}, {function}"


def _failing_layer(model: tf_keras.Model, convert: Convert) -> tuple[str, Exception] | None:
    """Describe the first layer that cannot be converted alone, and give the exception.

    None where every layer can be converted, or where the model has layers that a graph does not know.
    """
    with contextlib.suppress(ModelError):
        for node, part in _parts(from_keras(model)):
            try:
                convert(to_keras(part))
            except Exception as error:  # as above
                return f"layer {node.name!r} ({_describe(node)})", error
    return None


def _parts(graph: Graph) -> Iterator[tuple[Node, Graph]]:
    """Yield one layer of every kind, as a graph of its own after an image input of the same shape.

    Layers with several inputs, and layers whose input is flat, are left out.
    """
    sizes, seen = graph.shapes, set[str]()
    for node in graph.nodes:
        kind = repr((node.op, node.attrs, [(k, w.shape) for k, w in node.weights.items()], [sizes[n] for n in node.inputs]))
        if len(node.inputs) != 1 or kind in seen or len(sizes[node.inputs[0]]) != _IMAGE_RANK:
            continue
        seen.add(kind)
        image: dict[str, Any] = {"shape": (None, *sizes[node.inputs[0]][1:])}
        yield node, Graph((Node(node.inputs[0], "input", (), image), node), (node.inputs[0],), (node.name,))
