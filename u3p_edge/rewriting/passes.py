"""Everything that a folded graph goes through on its way to a file, in order:

    RULES       tried at every site by timing, each against the others (`u3p_edge.rewriting.engine`)
    CLEAN_UPS   applied wherever they fit, after the selected rules: never slower, so nothing is measured
    FUSIONS     applied to what is timed and written; training and quantization see the graph without them
    tiling      last, by the memory plan (`u3p_edge.rewriting.tiling.choose`): it alone takes options, such as a budget

A new rule is a file in `rules/` with a tuple `RULES`, and its name in `RULE_FILES`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from importlib import import_module

from u3p_edge.graph.ir import Graph
from u3p_edge.rewriting.interpolated_sums import fuse_interpolated_sums
from u3p_edge.rewriting.rule import Rule
from u3p_edge.rewriting.rules.cascade import cascade_pools
from u3p_edge.rewriting.rules.low_rank import LowRank
from u3p_edge.rewriting.rules.moves import hoist_pointwise

Pass = Callable[[Graph], Graph]
"""A function from a graph to one that computes the same function."""

RULE_FILES = (
    "separable",
    "one_interpolation",
    "low_rank",
    "winograd",
    "columns_as_channels",
)
"""The files of `rules/` whose rules are tried, in this order."""

RULES: tuple[Rule, ...] = tuple(rule for file in RULE_FILES for rule in import_module(f"u3p_edge.rewriting.rules.{file}").RULES)
"""Every exact rule that is tried at a site."""

CLEAN_UPS: tuple[Pass, ...] = (hoist_pointwise, cascade_pools)
"""Hoisting sees to it that no wide map is moved where a narrow one would do."""

FUSIONS: tuple[Pass, ...] = (fuse_interpolated_sums,)


def apply_clean_ups(graph: Graph) -> Graph:
    """Return the graph after all `CLEAN_UPS`."""
    return reduce(lambda made, each: each(made), CLEAN_UPS, graph)


def apply_fusions(graph: Graph) -> Graph:
    """Return the graph after all `FUSIONS`, as it is timed and written."""
    return reduce(lambda made, each: each(made), FUSIONS, graph)


def rule_named(name: str) -> Rule | None:
    """Return the rule of that name, or None where no rule has it.

    "low rank 0.99" is the low-rank rule that keeps that energy, "low rank 16" the one that keeps that rank.
    """
    for rule in RULES:
        if rule.name == name:
            return rule
    number = name.removeprefix("low rank ")
    try:
        return LowRank(rank=int(number)) if number.isdigit() else LowRank(energy=float(number))
    except ValueError:
        return None
