"""Where an export takes milliseconds from: a table that travels in the package, or timing on this machine.

With a table no choice depends on the moment.

A packaged table is taken where one is for this class of processor and knows every layer of the network, unless the recipe asks
to measure (`--profile`). The same table, model and data then give the same plan and the same forms.
"""

from __future__ import annotations

from dataclasses import dataclass

from u3p_edge.graph.ir import Graph
from u3p_edge.latency.table.packaged import packaged_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import LatencyTable
from u3p_edge.recipes.recipe import ExportRecipe


@dataclass(frozen=True)
class KnownLatencies:
    """The table to take milliseconds from.

    Args:
        table: for networks of any size; None where this machine is to be timed.
        note: why it is timed, for a report; empty where a table is taken or timing was asked for.
    """

    table: LatencyTable | None
    note: str = ""

    @property
    def source(self) -> str:
        """Where the milliseconds come from, to stand in a sentence after "by"."""
        if self.table is None:
            return "timing on this machine"
        device, error = self.table.device, self.table.worst_error
        return (
            f"the latency table of {device.processor} processors (measured on {device.cpu}, LiteRT {device.version}; "
            f"whole networks within {error:.0%})"
        )


TIMED = KnownLatencies(None)
"""Everything is timed on this machine."""


def find_latencies(graph: Graph, number: str, recipe: ExportRecipe) -> KnownLatencies:
    """Find where the milliseconds of a network and all that is made of it come from.

    Args:
        graph: folded.
        number: number type of the arithmetic, "int8" or "float32".
        recipe: the options.

    Raises:
        ModelError: a node that has no TFLite form.
    """
    if recipe.measurement.profile:
        return TIMED
    table = packaged_table(number)
    if table is None:
        return KnownLatencies(None, "Layers were timed on this machine: the package has no latency table of its processor.")
    missing = Predictor(table).missing(graph)
    if missing:
        layer = missing[0]
        reason = f"the latency table has no layer like {layer.node!r} ({layer.key})"
        return KnownLatencies(None, f"Layers were timed on this machine: {reason}.")
    return KnownLatencies(table)
