"""Measure what each rewrite brings: whole networks with the selected rewrites, and without one of them at a time.

    python -m benchmarks.rewrite_ablation 16:64 16:128 pruned --rounds 41

Each WIDTH:SIZE is a UNet 3+ of that base width for SIZE x SIZE images; `pruned` is the base-16 network for 128x128 in the shape
that benchmarks/results keeps for the paper's model. Weights are random and integers made up: the figures are latency, never
accuracy. The rewrites of each network are selected by timing, as an export does. Then, for every rewrite that is selected
somewhere, its sites take the next best candidate instead. All these networks are int8 LiteRT files that take turns at one
thread in one process, so a busy minute slows all alike. Kept in benchmarks/results/<processor>/ablation/ with all samples.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import RESULTS, describe_machine, results_folder
from benchmarks.lib.networks import network
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.cli.progress import stages
from u3p_edge.files.atomic import write_json, write_text
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.clock import interleave, milliseconds
from u3p_edge.latency.probe import Target, to_file
from u3p_edge.pipeline.choices import read_choices
from u3p_edge.pipeline.rewrite import select_rewrites
from u3p_edge.progress import Progress
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.rewriting.engine import REFERENCE, Selection, apply_selections
from u3p_edge.rewriting.passes import apply_fusions
from u3p_edge.runtime.tflite_raw import open_raw

LABEL = "Random weights and made-up integers: latency only, nothing here is about accuracy."
ALL = "all"
"""The name of the network with all selected rewrites."""

Samples = Mapping[str, tuple[float, ...]]
"""Milliseconds in each round, by what the network is without."""


def graph_of(name: str) -> Graph:
    """Return the folded network of a name on the command line."""
    if name != "pruned":
        width, size = map(int, name.split(":"))
        return network(width, size)[0]
    kept = next(RESULTS.glob("*/paper_model/plan.json"))
    plan = PruningPlan.from_json(json.dumps(json.loads(kept.read_text("utf-8"))["plan"]))
    return apply_plan(network(16, 128)[0], plan)


def without(choices: Sequence[Selection], names: Sequence[str]) -> tuple[Selection, ...]:
    """Return the selections with the next best candidate, of no more weights, where one of the named rewrites is selected."""
    return tuple(_next_best(choice, names) if choice.chosen in names else choice for choice in choices)


def _next_best(choice: Selection, names: Sequence[str]) -> Selection:
    most = max(choice.now.parameters or 0, choice.forms[0].parameters or 0)
    rest = [
        (form.milliseconds, form.name)
        for form in choice.forms
        if form.milliseconds is not None and form.name not in names and (form.parameters or 0) <= most
    ]
    return dataclasses.replace(choice, chosen=min(rest)[1])


def ablate(graph: Graph, together: Sequence[str], rounds: int, progress: Progress) -> tuple[Counter[str], Samples]:
    """Return how often each rewrite is selected, and the milliseconds of the network with all of them and without each.

    Args:
        graph: the folded network.
        together: names of rewrites that are also left out together.
        rounds: samples of each network.
        progress: shows the stages.
    """
    choices = select_rewrites(graph, Target("int8"), progress)
    counts = Counter(choice.chosen for choice in choices if choice.chosen != REFERENCE)
    dropped = {ALL: (), **{name: (name,) for name in sorted(counts)}}
    if len(counts.keys() & set(together)) > 1:
        dropped[" + ".join(sorted(counts.keys() & set(together)))] = tuple(together)
    files = {
        name: to_file(apply_fusions(apply_selections(graph, without(choices, names))), "int8")
        for name, names in dropped.items()
    }
    runs = [partial(milliseconds, open_raw(file, 1).run, warm_up=True) for file in files.values()]
    samples = interleave(runs, lambda done: len(done) < rounds, step=progress("Time whole networks", rounds)).samples
    return counts, dict(zip(files, samples, strict=True))


def table(name: str, counts: Mapping[str, int], samples: Samples) -> str:
    """Return how much slower the network is without each rewrite: the median over rounds, with its 95 % interval."""
    rows = [f"## {name}", "| without | selected at | times the time of all (95 %) |", "|---|---:|---:|"]
    for left_out, own in samples.items():
        if left_out != ALL:
            change = ratio(own, samples[ALL])
            sites = sum(count for form, count in counts.items() if form in left_out.split(" + "))
            rows.append(f"| {left_out} | {sites} | {change.estimate:.4f} ({change.low:.4f} to {change.high:.4f}) |")
    return "\n".join([rows[0], "", *rows[1:]])


def kept_table() -> str:
    """Return what each rewrite brought in every kept selection: the share of time that its sites' next best candidates add."""
    rows = ["| selection | without | selected at | times the time of all its sites |", "|---|---|---:|---:|"]
    for path in sorted(RESULTS.glob("*/*/rewrites*.json")):
        choices = read_choices(path)
        counts = Counter(choice.chosen for choice in choices if choice.chosen != REFERENCE)
        for name in sorted(counts):
            before, after = (_total_ms(each) for each in (choices, without(choices, [name])))
            rows.append(f"| {path.parent.name}/{path.stem} | {name} | {counts[name]} | {after / before:.4f} |")
    return "\n".join(rows)


def _total_ms(choices: Sequence[Selection]) -> float:
    return sum(choice.now.milliseconds or 0.0 for choice in choices)


def main() -> None:
    """Ablate the rewrites of every network named on the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("models", nargs="+", metavar="WIDTH:SIZE", help="base width and image size, e.g. 16:128; or `pruned`")
    parser.add_argument("--together", nargs="*", default=[], metavar="REWRITE", help="also leave these out together")
    parser.add_argument("--rounds", type=int, default=41, help="interleaved rounds (default: %(default)s)")
    given = parser.parse_args()
    kept, environment, parts = results_folder("ablation"), describe_environment(), []
    command, networks = typed_command("rewrite_ablation"), {}
    with stages() as progress:
        for name in given.models:
            counts, samples = ablate(graph_of(name), given.together, given.rounds, progress)
            networks[name] = {"selected": dict(counts), "samples_ms": samples}
            parts.append(table(name, counts, samples))
    result = {"command": command, "environment": dataclasses.asdict(environment), "networks": networks}
    write_json(kept / "result.json", result)
    features = ", ".join(environment.features)
    ran = f"{describe_machine(environment)}, {features}; one thread, int8 LiteRT. Command: `{command}`."
    sites = "## Kept selections, by the times of their candidates when each site was timed alone"
    lines = ["# What each rewrite brings", LABEL, *parts, ran, sites, kept_table()]
    write_text(kept / "report.md", "\n\n".join(lines) + "\n")
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
