"""One identity a file. `RULES` is what the engine tries, in this order."""

from __future__ import annotations

from u3p_edge.rewrite.rule import Rule
from u3p_edge.rewrite.rules.concat import JoinSum, SplitConcat
from u3p_edge.rewrite.rules.low_rank import LowRank
from u3p_edge.rewrite.rules.pointwise import Pointwise
from u3p_edge.rewrite.rules.separable import Separable
from u3p_edge.rewrite.rules.winograd import Winograd

RULES: tuple[Rule, ...] = (Pointwise(), Separable(), LowRank(), Winograd("rows"), Winograd("both"), SplitConcat(), JoinSum())
"""Every exact rule."""

__all__ = ["RULES", "JoinSum", "LowRank", "Pointwise", "Separable", "SplitConcat", "Winograd"]
