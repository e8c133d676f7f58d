"""The pattern that three rules share: a convolution over an upsampled map."""

from __future__ import annotations

from u3p_edge.graph.ir import Graph
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.rules.pieces import is_plain


def match_upsampled(graph: Graph, name: str) -> Match | Refusal | None:
    """Match the convolution of that name and the upsampling that it reads."""
    conv = graph[name]
    if conv.op != "conv" or graph[conv.inputs[0]].op != "upsample":
        return None
    reason = is_plain(conv)
    if not reason and (graph.consumers[conv.inputs[0]] != (name,) or conv.inputs[0] in graph.outputs):
        reason = "something else reads the upsampled map, so it would be computed all the same"
    return Refusal(reason) if reason else Match(name, (conv.inputs[0], name))
