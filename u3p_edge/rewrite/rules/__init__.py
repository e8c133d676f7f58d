"""The rewrite rules, one identity in each file. `RULES` is what the engine tries, in this order."""

from __future__ import annotations

from u3p_edge.rewrite.rule import Rule
from u3p_edge.rewrite.rules.columns_as_channels import ColumnsAsChannels
from u3p_edge.rewrite.rules.concat import JoinSum, SplitConcat
from u3p_edge.rewrite.rules.low_rank import LowRank
from u3p_edge.rewrite.rules.one_interpolation import OneInterpolation
from u3p_edge.rewrite.rules.pointwise import Pointwise
from u3p_edge.rewrite.rules.separable import Separable
from u3p_edge.rewrite.rules.winograd import Winograd

RULES: tuple[Rule, ...] = (
    Pointwise(),
    Separable(),
    OneInterpolation(),
    LowRank(),
    Winograd("rows"),
    Winograd("both"),
    ColumnsAsChannels(4),
    ColumnsAsChannels(16),
    ColumnsAsChannels(4, low_rank=True),
    ColumnsAsChannels(16, low_rank=True),
    SplitConcat(),
    JoinSum(),
)
"""Every exact rule that the engine tries."""


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


__all__ = [
    "RULES",
    "ColumnsAsChannels",
    "JoinSum",
    "LowRank",
    "OneInterpolation",
    "Pointwise",
    "Separable",
    "SplitConcat",
    "Winograd",
    "rule_named",
]
