"""Autotuning: measure the candidates of each site of a graph and select the fastest; a recorded selection can be applied again.

    find_sites(graph) ─ each as a small graph ─► its candidates ─ measure ─► Selection ─ apply_selections ─► Graph

This module knows nothing of runtimes. The caller passes `measure`, which returns the milliseconds of small graphs that compute
the same function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import fused_relu, is_relu
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.progress import Step, idle
from u3p_edge.rewriting.passes import RULES, apply_clean_ups, rule_named
from u3p_edge.rewriting.rule import Match, Refusal, Rule
from u3p_edge.rewriting.site import site_graph

Measure = Callable[[Sequence[Graph]], Sequence[float]]
"""A function that returns the milliseconds of each of several graphs, measured side by side or predicted; infinity for a graph
whose time it cannot tell."""

REFERENCE = "reference"
"""The candidate that computes a site as it is before any rewrite."""

UNKNOWN = "its time is not known"
"""Why a candidate is refused whose milliseconds are infinite."""

MARGIN = 0.97
"""A rewrite must take at most this share of the reference's time: what is not clearly faster is not applied."""

HEAVIER = 0.9
"""A candidate with more weights must take at most this share of the time of a rewrite with fewer. Tiles pack its kernels again
and again. The constant is about Winograd along both axes, which has three times as many additions as Winograd along rows: the
widest convolution of the paper's model gains a few percent by it in TFLite, and with it the network takes 1.7 times as long in
OpenVINO."""

GROWTH = 1.1
"""Rewriting may enlarge the weights to at most this many times their original number. Winograd's kernels have 4/3 to 16/9 of
the weights, and a process holds them twice, in the file and packed. In a deep encoder they are most of the model and save next
to no time."""

WORTH = 0.01
"""The share of the time of all sites together that a candidate must save. A smaller gain may be chance, and many such
candidates together may be a loss."""

ALIKE = 1.02
"""Whole networks whose times differ by no more than this factor count as equally fast; of these, the one with the fewest
rewrites is taken."""


@dataclass(frozen=True)
class Candidate:
    """One way to compute a site.

    Args:
        name: the rule's name, or "reference".
        macs: multiply-accumulates; None where the rule refuses.
        milliseconds: measured; None where the rule refuses, or nothing was measured.
        parameters: weights of the site when it is computed in this way; None where the rule refuses, or nothing was measured.
        refusal: the rule's reason; empty where it applies.
    """

    name: str
    macs: int | None = None
    milliseconds: float | None = None
    parameters: int | None = None
    refusal: str = ""


@dataclass(frozen=True)
class Selection:
    """The candidate that is selected for a site.

    Args:
        site: name of the node.
        chosen: name of the selected candidate.
        forms: all candidates that were considered, the reference first.
    """

    site: str
    chosen: str
    forms: tuple[Candidate, ...]

    @property
    def now(self) -> Candidate:
        """The selected candidate. Raises KeyError where the selection was recorded without candidates."""
        return {form.name: form for form in self.forms}[self.chosen]

    def form(self, name: str) -> Candidate | None:
        """Return the candidate of that name, or None where there is none."""
        return next((form for form in self.forms if form.name == name), None)


def select_candidates(
    graph: Graph,
    measure: Measure,
    *,
    rules: Sequence[Rule] = RULES,
    least: float = 0.0,
    growth: float = GROWTH,
    margin: float = MARGIN,
    step: Step = idle,
) -> tuple[Selection, ...]:
    """Select the fastest candidate of every site, within the weights that rewriting may add.

    Args:
        graph: folded (`u3p_edge.graph.fold`).
        measure: returns milliseconds; it is called once for each site.
        rules: the rules to try.
        least: share of the graph's multiply-accumulates below which a site is not worth measuring.
        growth: see `GROWTH`.
        margin: see `MARGIN`.
        step: called after every site.
    """
    macs = cost(graph)
    choices = []
    for site in find_sites(graph, rules):
        share = macs.macs.get(site, 0) / max(macs.total_macs, 1)
        choices.append(_left(site, share, rules) if share < least else _choose(graph, site, measure, rules, margin))
        step()
    return _within(choices, int((growth - 1) * macs.parameters), margin)


def find_sites(graph: Graph, rules: Sequence[Rule] = RULES) -> tuple[str, ...]:
    """Return the names of the nodes that some rule is about, in the graph's order."""
    return tuple(node.name for node in graph.nodes if any(rule.match(graph, node.name) is not None for rule in rules))


def validate_whole_network(graph: Graph, choices: Sequence[Selection], measure: Measure) -> tuple[Selection, ...]:
    """Return the selections that make the whole network fastest; if in doubt, those with the fewest rewrites.

    Three variants are measured: no rewrite, the rewrites that gain much (`WORTH`), and all of them. This is needed because a
    site is timed alone: the wrong candidate wins in a moment when the machine is busy, and in a small network the operators
    that rewrites add can cost more than the rewrites save.

    Args:
        graph: the graph that `choices` were made for.
        choices: the selections of `select_candidates`, with their times.
        measure: returns the milliseconds of whole networks.
    """
    least = WORTH * sum(choice.forms[0].milliseconds or 0.0 for choice in choices)

    def gains(choice: Selection) -> bool:
        return choice.chosen != REFERENCE and _time(choice.forms[0]) - _time(choice.now) >= least

    none = tuple(replace(choice, chosen=REFERENCE) for choice in choices)
    large = tuple(choice if gains(choice) else plain for choice, plain in zip(choices, none, strict=True))
    variants = tuple(dict.fromkeys((none, large, tuple(choices))))
    if len(variants) == 1:
        return none
    times = measure([apply_selections(graph, variant) for variant in variants])
    return next(variant for variant, ms in zip(variants, times, strict=True) if ms <= ALIKE * min(times))


def apply_selections(graph: Graph, choices: Sequence[Selection]) -> Graph:
    """Return the graph with every site computed as selected, and cleaned up (`passes.CLEAN_UPS`).

    Raises:
        ModelError: if this graph does not allow a selection, for example one that was recorded for another model.
    """
    # The original model may have such ReLUs, after a layer normalisation for example; no rewrite may add one.
    original = frozenset(find_lone_relus(graph))
    for choice in choices:
        if choice.chosen != REFERENCE:
            graph = _rewritten(graph, choice)
    graph = apply_clean_ups(graph)
    lone = [name for name in find_lone_relus(graph) if name not in original]
    if lone:
        raise ModelError(f"the rewritten graph has a ReLU that no kernel can fuse ({lone[0]!r})")
    return graph


def find_lone_relus(graph: Graph) -> tuple[str, ...]:
    """Return the names of ReLUs that no kernel before them computes, so that a runtime must run them as separate operators.

    XNNPACK does not accept a separate int8 ReLU at all; there such a ReLU is 25 times slower than an addition.
    """
    fused = {fused_relu(graph, node) for node in graph.nodes}
    return tuple(node.name for node in graph.nodes if is_relu(node) and node.name not in fused)


def _choose(graph: Graph, site: str, measure: Measure, rules: Sequence[Rule], margin: float) -> Selection:
    tried = [(rule, rule.match(graph, site)) for rule in rules]
    matches = [(rule, match) for rule, match in tried if isinstance(match, Match)]
    refusals = tuple(Candidate(rule.name, refusal=match.reason) for rule, match in tried if isinstance(match, Refusal))
    if not matches:
        return Selection(site, REFERENCE, (Candidate(REFERENCE), *refusals))
    # Some rules replace more of the nodes before the site than others; all are measured on the most that any replaces.
    widest = max((match.nodes for _, match in matches), key=len)
    before = site_graph(graph, widest)
    graphs = [before, *(rule.rewrite(before, match) for rule, match in matches)]
    names = [REFERENCE, *(rule.name for rule, _ in matches)]
    costs = [cost(form) for form in graphs]
    forms = tuple(
        Candidate(name, each.total_macs, ms, each.parameters) if math.isfinite(ms) else Candidate(name, refusal=UNKNOWN)
        for name, each, ms in zip(names, costs, measure(graphs), strict=True)
    )
    return Selection(site, _fastest(forms, margin), (*forms, *refusals))


def _left(site: str, share: float, rules: Sequence[Rule]) -> Selection:
    reason = f"it has {100 * share:.2f} % of the model's arithmetic, too little to be measured"
    return Selection(site, REFERENCE, (Candidate(REFERENCE), *(Candidate(rule.name, refusal=reason) for rule in rules)))


def _fastest(forms: Sequence[Candidate], margin: float) -> str:
    """Return the candidate to select: of those as fast as the fastest, as far as it shows, the one with the fewest weights."""
    best = min(map(_time, forms))
    if math.isinf(_time(forms[0])):
        return forms[0].name
    clear = [form for form in forms[1:] if _time(form) <= margin * _time(forms[0]) and margin * _time(form) <= best]
    return min(clear, key=_weights, default=forms[0]).name


def _time(form: Candidate) -> float:
    return float("inf") if form.milliseconds is None else form.milliseconds


def _within(choices: Sequence[Selection], most: int, margin: float) -> tuple[Selection, ...]:
    """Return the selections, with slower but smaller candidates where all the fastest would add more weights than `most`.

    Each site starts with the fastest candidate that adds no weights. As long as there is room, the candidate that saves the
    most time for each added weight is selected next.
    """
    kept = [_without_growth(choice, margin) for choice in choices]
    while True:
        room = most - sum(map(_added, kept))
        steps = [(index, form) for index, choice in enumerate(kept) for form in _faster(choice, room, margin)]
        if not steps:
            return tuple(kept)
        index, form = max(steps, key=lambda step: _worth(kept[step[0]], step[1]))
        kept[index] = replace(kept[index], chosen=form.name)


def _without_growth(choice: Selection, margin: float) -> Selection:
    """Return the selection of the fastest candidate that has no more weights than the reference."""
    if _added(choice) <= 0:
        return choice
    light = [form for form in choice.forms if _weights(form) <= _weights(choice.forms[0])]
    return replace(choice, chosen=_fastest(light, margin))


def _faster(choice: Selection, room: int, margin: float) -> list[Candidate]:
    """Return the candidates that are clearly faster than the selected one and whose weights fit into the room."""
    now = choice.now
    limit = (margin if now.name == REFERENCE else min(margin, HEAVIER)) * _time(now)
    measured = [form for form in choice.forms if form.milliseconds is not None]
    return [form for form in measured if _time(form) <= limit < math.inf and _weights(form) - _weights(now) <= room]


def _worth(choice: Selection, form: Candidate) -> float:
    """Return the milliseconds saved for each weight added."""
    now = choice.now
    return (_time(now) - _time(form)) / max(_weights(form) - _weights(now), 1)


def _weights(form: Candidate) -> int:
    return form.parameters or 0


def _added(choice: Selection) -> int:
    """Return the number of weights that the selected candidate has beyond the reference's."""
    return _weights(choice.now) - _weights(choice.forms[0])


def _rewritten(graph: Graph, choice: Selection) -> Graph:
    rule = rule_named(choice.chosen)
    match = rule.match(graph, choice.site) if rule is not None and choice.site in graph else None
    if rule is None or not isinstance(match, Match):
        why = match.reason if isinstance(match, Refusal) else "there is no such node or no such rule"
        raise ModelError(
            f"the recorded choice {choice.chosen!r} for {choice.site!r} does not fit this model: {why}",
            mend="Choose again for this model, without the recorded file.",
        )
    return rule.rewrite(graph, match)
