"""Explain what the rewrites do to a model, site by site: every candidate, its cost, its error, or why it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.probe import Target
from u3p_edge.pipeline.rewrite import select_rewrites
from u3p_edge.progress import Progress
from u3p_edge.rewriting.engine import REFERENCE, Selection
from u3p_edge.rewriting.passes import RULES, rule_named
from u3p_edge.rewriting.rule import Match
from u3p_edge.rewriting.rules.low_rank import LowRank
from u3p_edge.rewriting.site import deviation, site_graph


@dataclass(frozen=True)
class RewriteExplanation:
    """The selections for a model, and how far each candidate moves its site's output.

    Args:
        graph: folded, before any rewrite.
        choices: one per site.
        errors: largest difference over the largest output in float32, by (site, candidate).
    """

    graph: Graph
    choices: tuple[Selection, ...]
    errors: Mapping[tuple[str, str], float]


def explain_rewrites(graph: Graph, target: Target, energy: float | None, progress: Progress) -> RewriteExplanation:
    """Measure every candidate of every site of an inference graph.

    Args:
        graph: the original, not folded.
        target: what to time the candidates in.
        energy: also consider the approximate low-rank candidate that keeps this share of the squared singular values.
        progress: shows the stages.
    """
    folded = fold_batch_norm(graph)
    rules = RULES if energy is None else (*RULES, LowRank(energy=energy))
    choices = select_rewrites(folded, target, progress, rules)
    return RewriteExplanation(folded, choices, _errors(folded, choices, progress))


def _errors(graph: Graph, choices: Sequence[Selection], progress: Progress) -> Mapping[tuple[str, str], float]:
    measured = [(c.site, form.name) for c in choices for form in c.forms if form.milliseconds is not None]
    wanted = [(site, name) for site, name in measured if name != REFERENCE]
    step = progress("Compare every form", len(wanted))
    errors = {}
    for site, name in wanted:
        rule = rule_named(name)
        match = rule.match(graph, site) if rule is not None else None
        if rule is not None and isinstance(match, Match):
            errors[site, name] = deviation(site_graph(graph, match.nodes), rule)
        step()
    return errors
