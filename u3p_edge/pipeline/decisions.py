"""What an export decides, by name, and the form of each value, which may come from a stranger's lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from u3p_edge.config.plain import from_plain
from u3p_edge.errors import ConfigError
from u3p_edge.latency.table.table import LatencyTable
from u3p_edge.pipeline.latencies import TIMED
from u3p_edge.pipeline.search_decision import SearchDecision
from u3p_edge.rewriting.engine import Selection


@dataclass(frozen=True)
class BudgetDecision:
    """What the plans are made for: nothing is timed where this is known and the plans are too.

    Args:
        bounds: by the budget's name, the most that the network may have of it; none where nothing has to be pruned.
        table: the latencies that the plans are based on; None where time is not bound.
        notes: where these latencies are from, in sentences.
    """

    bounds: Mapping[str, float]
    table: LatencyTable | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanDecision:
    """The plan of one pruning step.

    Args:
        plan: JSON values of a `PruningPlan`.
        reached: what its network costs, by the budget's name.
    """

    plan: Mapping[str, Any]
    reached: Mapping[str, float]


@dataclass(frozen=True)
class RewriteDecision:
    """How the network is rewritten.

    Args:
        rewrites: the candidate that is selected for each site.
        refusal: the layer that prevents rewriting; empty where none does.
        source: what the candidates were selected by.
        note: why they were timed, where no table served; empty otherwise.
    """

    rewrites: tuple[Selection, ...] = ()
    refusal: str = ""
    source: str = TIMED.source
    note: str = ""


DECISIONS: Mapping[str, Any] = MappingProxyType(
    {
        "budgets": BudgetDecision,
        "reference_ms": float,
        "search": SearchDecision,
        "rewrites": RewriteDecision,
        "sparse_epoch": int,
        "ptq_ranges": str,
        "qat_ranges": str,
        "qat_epoch": int,
        "method": Literal["ptq", "qat"],
    }
)
"""The type of each decision of an export, by name."""

OF_A_STEP: Mapping[str, Any] = MappingProxyType({"plan": PlanDecision, "epoch": int, "kept": bool})
"""The type of each decision of a pruning step, by what follows `prune0/` in its name."""


def check_decisions(values: Mapping[str, Any]) -> None:
    """Raise ConfigError, which names it, for a decision that is not known or has another form."""
    for name, value in values.items():
        part, slash, last = name.rpartition("/")
        kind = OF_A_STEP.get(last) if slash and part.removeprefix("prune").isdigit() else DECISIONS.get(name)
        if kind is None:
            raise ConfigError(f"there is no decision {name!r} in an export")
        from_plain(kind, value, name)
