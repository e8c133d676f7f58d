"""Leave out the activation at the end of a network: what is left gives logits.

The label of a pixel is the class of the largest logit, or 1 where the only one is not negative. Sigmoid and softmax keep the
order of the logits, so the label needs neither of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar, cast

from u3p_edge.config.metadata import OutputKind
from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import function
from u3p_edge.graph.inference import ending
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.scheme import Quantized, Scheme

_Network = TypeVar("_Network", bound=Graph | Quantized)
_ACTIVATIONS = ("sigmoid", "softmax")


def fit_output(network: _Network, output: OutputKind) -> _Network:
    """Return a network without the sigmoid or softmax at its end where a file gives no probabilities; else as it is.

    Args:
        network: a folded float graph, or a network in integers, of one output [N, H, W, K]; it may end in logits already.
        output: of the file.

    Raises:
        ModelError: the activation is not the last node: a gate multiplies the probabilities, or they are resized.
    """
    graph = network.graph if isinstance(network, Quantized) else network
    last = graph[graph.outputs[0]]
    if output == "probabilities":
        return network
    if last.op not in ("activation", "softmax") or function(last) not in _ACTIVATIONS:
        if ending(graph, last.name) in _ACTIVATIONS:
            raise ModelError(
                f"the network has no {output} at its end: {last.op} {last.name!r} follows its activation",
                mend="Use --output probabilities: a gate, for example, multiplies probabilities and not logits.",
            )
        return network
    shorter = replace(graph, nodes=tuple(node for node in graph.nodes if node is not last), outputs=last.inputs)
    if not isinstance(network, Quantized):
        return cast("_Network", shorter)
    tensors = {name: pair for name, pair in network.scheme.tensors.items() if name != last.name}
    return cast("_Network", Quantized(shorter, Scheme(tensors, network.scheme.kernels)))
