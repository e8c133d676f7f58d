"""Reduce a trained model to what inference needs: one input `image`, one output `mask`, and the gate inside the graph.

    masks of all scales, gate ─► choose the mask ─► drop heads, dropout, identities ─► activate ─► mask * gate

The gate multiplies the ACTIVATED mask. If it multiplied the logits, a rejected image would give sigmoid(0 * logit) = 0.5
everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from u3p_edge.config.limits import check_size
from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import function, is_channelwise
from u3p_edge.graph.decompose import split_separable
from u3p_edge.graph.fold import drop_identities
from u3p_edge.graph.ir import KERAS, Graph, Node, rename, subgraph, substitute, unused_name
from u3p_edge.graph.mask_size import enlarge_mask
from u3p_edge.graph.roles import Roles, roles

IMAGE = "image"
MASK = "mask"


@dataclass(frozen=True)
class Inference:
    """A graph for inference and what was done to get it.

    Args:
        graph: input `image` [N, H, W, C], output `mask` [N, H, W, K] of probabilities, float32.
        mask: name of the model's output that is the mask.
        gate: name of the model's output that gates it, None where there is none.
        dropped: names of the outputs that inference does not need.
        activation: "sigmoid" for one channel or for classes that may overlap, else "softmax".
        activation_added: whether the activation had to be added, because the model ended in logits.
        notes: the same in sentences, for a report.
    """

    graph: Graph
    mask: str
    gate: str | None
    dropped: tuple[str, ...]
    activation: str
    activation_added: bool
    notes: tuple[str, ...]


def inference_graph(graph: Graph, *, mask: str | None = None, multi_label: bool = False) -> Inference:
    """Return the graph that a device runs: the mask alone, gated, without what only training needs.

    Args:
        graph: a segmentation network with one input of fixed size and any number of outputs.
        mask: name of the output that is the mask, for a model that does not show which it is. A mask that is flattened, or
            smaller than the image, is brought to the image's size.
        multi_label: several logits get a sigmoid each, for classes that may overlap, and not a softmax over all of them. A mask
            that ends in several sigmoids stays as it is.

    Raises:
        ModelError: the model has not exactly one image input, it has no clear mask, the mask is not made of probabilities, or
            the gate does not fit the mask.
        ConfigError: height or width are not multiples of 16.
    """
    _check_input(graph)
    graph, mask, fitted = enlarge_mask(graph, mask)
    role = roles(graph, mask)
    kept = _plain(subgraph(graph, [role.mask, *([role.gate] if role.gate else [])]))
    activated, activation, added = _activate(kept, role.mask, multi_label)
    gated = _gated(activated, role) if role.gate else activated
    return Inference(
        graph=_named(gated),
        mask=role.mask,
        gate=role.gate,
        dropped=role.others,
        activation=activation,
        activation_added=added,
        notes=(*fitted, *_notes(role, activation, added, kept)),
    )


def _check_input(graph: Graph) -> None:
    if len(graph.inputs) != 1:
        raise ModelError(
            f"the model has {len(graph.inputs)} inputs ({', '.join(graph.inputs)})", mend="It must have one image."
        )
    shape = graph[graph.inputs[0]].attrs["shape"]
    if len(shape) != 4:
        raise ModelError(f"the input {graph.inputs[0]!r} of shape {shape} is not a batch of images [N, H, W, C]")
    if None in shape[1:]:
        raise ModelError(
            f"the input {graph.inputs[0]!r} has no fixed size: {shape[1:]}",
            mend="Say which height and width images are to get, for example --size 256x256.",
        )
    check_size(shape[1], shape[2])


def _plain(graph: Graph) -> Graph:
    """Return the graph without identities, with separable convolutions as two, and without what only training or Keras needs:
    regularisers, dtypes, fixed batches."""
    graph = drop_identities(graph)
    for node in (node for node in graph.nodes if node.op == "separable_conv"):
        graph = substitute(graph, node.name, split_separable(graph[node.name], unused_name(graph, f"{node.name}_depthwise")))
    return replace(graph, nodes=tuple(map(_without_training, graph.nodes)))


def _without_training(node: Node) -> Node:
    attrs = {key: value for key, value in node.attrs.items() if key != KERAS}
    if node.op == "input":
        attrs = {"shape": (None, *attrs["shape"][1:])}
    return replace(node, attrs=attrs)


def ending(graph: Graph, name: str) -> str:
    """Return how the values of a node are bounded: the activation in which it ends, or "linear" for logits.

    If the node shows neither, return its op.
    """
    node = graph[name]
    if "activation" in node.attrs or node.op == "activation":
        return function(node)
    if node.kind.keeps_range:
        return ending(graph, node.inputs[0])
    if node.op == "softmax":
        last = node.attrs["axis"] == -1 or node.attrs["axis"] == len(graph.shapes[name]) - 1
        return "softmax" if last else f"softmax over axis {node.attrs['axis']}"
    parts = [ending(graph, source) for source in node.inputs] if node.op in ("multiply", "add") else []
    if node.op == "multiply" and all(part in ("sigmoid", "softmax") for part in parts):
        return "softmax" if "softmax" in parts else "sigmoid"
    return "linear" if node.op == "batch_norm" or (node.op == "add" and "linear" in parts) else node.op


def is_multi_label(graph: Graph) -> bool:
    """Return whether the first output is a mask of classes that may overlap: it has several channels, each with a sigmoid."""
    return graph.shapes[graph.outputs[0]][-1] > 1 and ending(graph, graph.outputs[0]) == "sigmoid"


def _activate(graph: Graph, name: str, multi_label: bool) -> tuple[Graph, str, bool]:
    """Return the graph whose first output is made of probabilities, their activation, and whether it had to be added."""
    output = graph.outputs[0]
    channels = graph.shapes[output][3]
    wanted, given = ("sigmoid" if channels == 1 or multi_label else "softmax"), ending(graph, output)
    if given == wanted or is_multi_label(graph):
        return graph, given, False
    if given != "linear":
        raise ModelError(
            f"the mask {name!r} has {channels} channels and ends in {given}",
            mend=f"It must end in {wanted}, or in logits; a gate must multiply the mask after that, not before.",
        )
    node = Node(unused_name(graph, f"{output}_{wanted}"), "activation", (output,), {"function": wanted})
    return replace(graph, nodes=(*graph.nodes, node), outputs=(node.name, *graph.outputs[1:])), wanted, True


def _gated(graph: Graph, role: Roles) -> Graph:
    """Return the graph whose only output is the given graph's first output times its second."""
    channels, units = graph.shapes[graph.outputs[0]][3], graph.shapes[graph.outputs[1]][-1]
    if ending(graph, graph.outputs[1]) != "sigmoid":
        raise ModelError(
            f"the gate {role.gate!r} ends in {ending(graph, graph.outputs[1])}", mend="A gate must end in a sigmoid."
        )
    if channels == 1 and units == 2:  # the paper's "absent" and "present"
        graph = _one_unit(graph, 1, role)
    elif channels != units:
        raise ModelError(
            f"the gate {role.gate!r} has {units} units for the {channels} channels of the mask {role.mask!r}",
            mend="It must have one unit a channel, or two (absent, present) for a mask of one channel.",
        )
    mask, gate = graph.outputs
    flat = Node(unused_name(graph, f"{gate}_map"), "reshape", (gate,), {"target_shape": (1, 1, min(units, channels))})
    product = Node(unused_name(graph, f"{mask}_gated"), "multiply", (mask, flat.name))
    return replace(graph, nodes=(*graph.nodes, flat, product), outputs=(product.name,))


def _one_unit(graph: Graph, unit: int, role: Roles) -> Graph:
    """Return the graph whose second output has only that unit: the convolution or dense layer that makes it computes no other.

    This is exact, because the ops between that layer and the output treat each channel independently.
    """
    readers = graph.consumers

    def uses(node: Node) -> int:
        return len(readers[node.name]) + graph.outputs.count(node.name)

    node = graph[graph.outputs[1]]
    while uses(node) == 1 and is_channelwise(node):
        node = graph[node.inputs[0]]
    whole = node.op == "dense" or (node.op == "conv" and node.attrs["groups"] == 1)
    if uses(node) != 1 or not whole or node.attrs["activation"] == "softmax":
        raise ModelError(
            f"the gate {role.gate!r} has two units for a mask of one channel, and its unit for 'present' cannot be taken out",
            mend="Build the gate as a 1x1 convolution, a global pooling and a sigmoid, or with one unit.",
        )
    weights = {key: array[..., unit : unit + 1] for key, array in node.weights.items()}
    return substitute(graph, node.name, [replace(node, weights=weights)])


def _named(graph: Graph) -> Graph:
    """Return the graph with its input and output named as every exported file names them."""
    ends = {graph.inputs[0]: IMAGE, graph.outputs[0]: MASK}
    clashes = {name: unused_name(graph, f"{name}_") for name in (IMAGE, MASK) if name in graph and name not in ends}
    return rename(graph, {**clashes, **ends})


def _notes(role: Roles, activation: str, added: bool, kept: Graph) -> Iterator[str]:
    yield f"The mask is the output {role.mask!r}, activated by {activation}."
    if added:
        yield f"The model gave logits; {activation} was added to it."
    if role.gate:
        two = kept.shapes[kept.outputs[0]][-1] == 1 and kept.shapes[kept.outputs[1]][-1] == 2
        which = "unit 1 ('present') of " if two else ""
        yield f"The activated mask is multiplied by {which}the gate {role.gate!r}."
    if role.others:
        yield f"Dropped, for training alone: {', '.join(map(repr, role.others))}."
