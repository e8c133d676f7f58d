"""Rewrite the network for export: the same function as the float model, by the candidates fastest in the files' runtime.

inference graph ─ fold ─ select by milliseconds ─ apply ─► rewritten graph ─ to_keras ─► what is quantized and exported
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ModelError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.latency.cache import cache_measure
from u3p_edge.latency.probe import Target, measure_graphs
from u3p_edge.latency.table.predict import predict_each
from u3p_edge.latency.table.table import LatencyTable
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.decisions import RewriteDecision
from u3p_edge.pipeline.latencies import TIMED, find_latencies
from u3p_edge.pipeline.source import Source
from u3p_edge.progress import Progress, silent
from u3p_edge.rewriting.engine import (
    MARGIN,
    REFERENCE,
    Selection,
    apply_selections,
    find_sites,
    select_candidates,
    validate_whole_network,
)
from u3p_edge.rewriting.passes import RULES, apply_fusions, rule_named
from u3p_edge.rewriting.rule import Rule

LEAST = 0.0005
"""Sites with less than this share of the arithmetic are not rewritten: even all of them together hardly matter."""


PREDICTED = 0.85
"""`engine.MARGIN` for times that a table predicts. Over the forms of a UNet 3+ they differ from measured ones by 16 % (standard
deviation), so forms that differ by less count as equally fast."""


@dataclass(frozen=True)
class Network:
    """What is exported.

    Args:
        model: tf_keras, the function of the float model.
        graph: the same, folded.
        choices: the candidate selected for each site; empty where nothing was rewritten.
        macs_before: multiply-accumulates of the original graph.
        refusal: why nothing was rewritten, where a layer prevents it; empty otherwise.
        source, note: see `RewriteDecision`.
    """

    model: Any
    graph: Graph
    choices: tuple[Selection, ...]
    macs_before: int
    refusal: str = ""
    source: str = TIMED.source
    note: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was rewritten, in sentences, for a report."""
        forms = Counter(choice.chosen for choice in self.choices if choice.chosen != REFERENCE)
        if self.refusal:
            return (f"The network was not rewritten: {self.refusal}",)
        if not forms:
            return ()
        listed = ", ".join(f"{count} as {name}" for name, count in forms.most_common())
        macs = f"{self.macs_before / 1e9:.2f} to {cost(self.graph).total_macs / 1e9:.2f} GMAC"
        how = f"chosen by {self.source}" if any(each.forms for each in self.choices) else "as recorded"
        inexact = sorted(name for name in forms if (rule := rule_named(name)) is not None and not rule.exact)
        warning = f" **Approximate: {', '.join(inexact)}.**" if inexact else ""
        made = f"{'Rewrites' if inexact else 'Exact rewrites'}, {how}: {listed}; {macs} an image.{warning}"
        return tuple(sentence for sentence in (made, self.note) if sentence)


def rewrite_source(source: Source, context: Context) -> Network:
    """Rewrite the source's network by the selected candidates, or leave it as it is where the recipe says so.

    Selections are kept in the staging folder, so that an interrupted export continues with the same network.

    Raises:
        ModelError: a recorded selection that does not fit this model.
    """
    recipe = context.recipe
    if not recipe.rewriting.enabled:
        return Network(source.model, fold_batch_norm(source.graph), (), source.macs)
    graph = fold_batch_norm(source.graph)
    decided = from_dict(RewriteDecision, context.staging.decide("rewrites", lambda: asdict(_decide(graph, context))))
    if decided.refusal:
        return Network(source.model, graph, (), source.macs, refusal=decided.refusal)
    new = apply_selections(graph, decided.rewrites)
    return Network(to_keras(new), new, decided.rewrites, source.macs, source=decided.source, note=decided.note)


def select_rewrites(
    graph: Graph,
    target: Target,
    progress: Progress = silent,
    rules: Sequence[Rule] = RULES,
    cache: Path | None = None,
    table: LatencyTable | None = None,
) -> tuple[Selection, ...]:
    """Select the fastest candidate in a target for every site of a folded graph, as long as the whole network gains by it.

    Args:
        graph: folded.
        target: what the candidates are timed in.
        progress: shows the stage.
        rules: that give the candidates.
        cache: folder of measured milliseconds; None for `u3p_edge.cache.default_folder()`.
        table: a latency table to predict the candidates' times from, so that nothing is timed; None to time them. A candidate
            with a layer that the table lacks is not selected.

    Raises:
        ModelError: a layer that has no TFLite form.
    """
    measure = cache_measure(partial(measure_graphs, target=target), target, cache) if table is None else predict_each(table)
    step = progress("Choose rewrites", len(find_sites(graph, rules)))

    def clock(graphs: Sequence[Graph]) -> Sequence[float]:
        return measure([apply_fusions(form) for form in graphs])  # as they are in the file

    margin = MARGIN if table is None else PREDICTED
    selected = select_candidates(graph, clock, rules=rules, least=LEAST, margin=margin, step=step)
    return validate_whole_network(graph, selected, clock)


def rewrite_graph(graph: Graph, target: Target, progress: Progress = silent, cache: Path | None = None) -> Graph:
    """Return a folded graph of the same function, in the forms that are fastest in a target. Arguments and errors as
    `select_rewrites`; batch normalisation is folded first.
    """
    folded = fold_batch_norm(graph)
    return apply_selections(folded, select_rewrites(folded, target, progress, cache=cache))


def _decide(graph: Graph, context: Context) -> RewriteDecision:
    """Return the recorded or selected candidates, or why a layer of the network prevents rewriting."""
    recipe = context.recipe
    if recipe.rewriting.choices:
        return RewriteDecision(tuple(Selection(site, form, ()) for site, form in recipe.rewriting.choices))
    target = Target("int8" if recipe.int8 else "float32")
    try:
        known = find_latencies(graph, target.number, recipe)
        selected = select_rewrites(graph, target, context.progress, cache=context.cache, table=known.table)
    except ModelError as error:
        return RewriteDecision(refusal=str(error))
    return RewriteDecision(selected, source=known.source, note=known.note)
