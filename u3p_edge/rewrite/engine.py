"""Which form each part of a graph gets: the alternatives are measured, the fastest is taken, the choice can be replayed.

    sites(graph) ─ each alone, as a small graph ─► its forms ─ measure ─► Choice ─ apply ─► Graph

Rewriting knows nothing of runtimes: `measure` is handed in, and gives the milliseconds of small graphs that compute the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from u3p_edge.errors import ModelError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node, consumers, shapes
from u3p_edge.rewrite.rule import Match, Refusal, Rule
from u3p_edge.rewrite.rules import RULES

Measure = Callable[[Sequence[Graph]], Sequence[float]]
"""Milliseconds of each of some graphs, measured side by side."""

REFERENCE = "reference"
"""The form that a site has before any rewrite."""

MARGIN = 0.97
"""A rewrite must take at most this share of the reference's time: what is not clearly faster is not applied."""


@dataclass(frozen=True)
class Form:
    """One way to compute a site.

    Args:
        name: of the rule, or "reference".
        macs: multiply-accumulates; None where the rule refuses.
        milliseconds: measured; None where the rule refuses, or nothing was measured.
        refusal: the rule's reason; empty where it applies.
    """

    name: str
    macs: int | None = None
    milliseconds: float | None = None
    refusal: str = ""


@dataclass(frozen=True)
class Choice:
    """The form that a site gets.

    Args:
        site: name of the node.
        chosen: name of one of its forms.
        forms: all that were considered, the reference first.
    """

    site: str
    chosen: str
    forms: tuple[Form, ...]

    def form(self, name: str) -> Form | None:
        """The form of that name."""
        return next((form for form in self.forms if form.name == name), None)


def choose(
    graph: Graph, measure: Measure, *, rules: Sequence[Rule] = RULES, advance: Callable[[], object] = lambda: None
) -> tuple[Choice, ...]:
    """The fastest form of every site.

    Args:
        graph: folded (`u3p_edge.graph.fold`).
        measure: gives milliseconds; it is called once a site.
        rules: to try.
        advance: called after every site.
    """
    choices = []
    for site in sites(graph, rules):
        choices.append(_choose(graph, site, measure, rules))
        advance()
    return tuple(choices)


def sites(graph: Graph, rules: Sequence[Rule] = RULES) -> tuple[str, ...]:
    """Names of the nodes that some rule is about, in the graph's order."""
    return tuple(node.name for node in graph.nodes if any(rule.match(graph, node.name) is not None for rule in rules))


def apply(graph: Graph, choices: Sequence[Choice], *, rules: Sequence[Rule] = RULES) -> Graph:
    """The graph with every site in its chosen form.

    Raises:
        ModelError: a choice that this graph does not allow, as when it was recorded for another model.
    """
    for choice in choices:
        if choice.chosen != REFERENCE:
            graph = _rewritten(graph, choice, rules)
    lone = lone_relus(graph)
    if lone:
        raise ModelError(f"the rewritten graph has a ReLU that no kernel can fuse ({lone[0]!r})")
    return graph


def lone_relus(graph: Graph) -> tuple[str, ...]:
    """Names of ReLUs that stand behind no arithmetic of their own, so that a runtime must run them by themselves.

    XNNPACK does not take a stand-alone int8 ReLU at all (25 times slower than an addition there).
    """
    readers = consumers(graph)

    def fused(node: Node) -> bool:
        source = graph[node.inputs[0]]
        return source.op in ("conv", "depthwise_conv", "dense", "add", "subtract", "multiply") and readers[source.name] == (
            node.name,
        )

    return tuple(node.name for node in graph.nodes if _is_relu(node) and not fused(node))


def site_graph(graph: Graph, nodes: Sequence[str]) -> Graph:
    """Some nodes as a graph of their own; what they read from outside becomes its inputs, and the last node its output."""
    found = shapes(graph)
    inside = [node for node in graph.nodes if node.name in nodes]
    outside = dict.fromkeys(name for node in inside for name in node.inputs if name not in nodes)
    inputs = [Node(name, "input", (), {"shape": (None, *found[name][1:])}) for name in outside]
    return Graph((*inputs, *inside), tuple(outside), (nodes[-1],), name=nodes[-1])


def _is_relu(node: Node) -> bool:
    return node.op == "relu" or (node.op == "activation" and node.attrs["function"] == "relu")


def _choose(graph: Graph, site: str, measure: Measure, rules: Sequence[Rule]) -> Choice:
    found = [(rule, rule.match(graph, site)) for rule in rules]
    matches = [(rule, match) for rule, match in found if isinstance(match, Match)]
    refusals = tuple(Form(rule.name, refusal=match.reason) for rule, match in found if isinstance(match, Refusal))
    if not matches:
        return Choice(site, REFERENCE, (Form(REFERENCE), *refusals))
    # Rules replace more or less of what is before the site; all are measured on the most that any replaces.
    widest = max((match.nodes for _, match in matches), key=len)
    before = site_graph(graph, widest)
    graphs = [before, *(rule.rewrite(before, match) for rule, match in matches)]
    names = [REFERENCE, *(rule.name for rule, _ in matches)]
    forms = tuple(Form(name, cost(form).total_macs, ms) for name, form, ms in zip(names, graphs, measure(graphs), strict=True))
    return Choice(site, _fastest(forms), (*forms, *refusals))


def _fastest(forms: Sequence[Form]) -> str:
    def time(form: Form) -> float:
        return float("inf") if form.milliseconds is None else form.milliseconds

    best = min(forms, key=time)
    return best.name if time(best) <= MARGIN * time(forms[0]) else forms[0].name


def _rewritten(graph: Graph, choice: Choice, rules: Sequence[Rule]) -> Graph:
    rule = next((rule for rule in rules if rule.name == choice.chosen), None)
    match = rule.match(graph, choice.site) if rule is not None and choice.site in graph else None
    if rule is None or not isinstance(match, Match):
        why = match.reason if isinstance(match, Refusal) else "there is no such node or no such rule"
        raise ModelError(
            f"the recorded choice {choice.chosen!r} for {choice.site!r} does not fit this model: {why}",
            mend="Choose again for this model, without the recorded file.",
        )
    return rule.rewrite(graph, match)
