"""What a search for a shape decided, and what became of every candidate: it is kept in the lock and in pruning.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from u3p_edge.pipeline.halving import Rung
from u3p_edge.shapes.shape import Shape


@dataclass(frozen=True)
class SearchedShape:
    """One candidate.

    Args:
        name: of its shape.
        weights: numbers that its pruned network stores; 0 where it was not pruned.
        reached: what that network costs, by the budget's name.
        dice: mean foreground Dice on the validation split after each rung that it trained in.
        reason: why it did not compete; empty where it did.
    """

    name: str
    weights: int = 0
    reached: Mapping[str, float] = field(default_factory=dict)
    dice: tuple[float, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class SearchDecision:
    """The shape that pruning starts from.

    Args:
        shape: the winner.
        candidates: all shapes that were looked at, in order.
        rungs: in which they competed; none where one candidate was left before any training.
    """

    shape: Shape
    candidates: tuple[SearchedShape, ...] = ()
    rungs: tuple[Rung, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The search in sentences, for a report."""
        compared = sum(not each.reason for each in self.candidates)
        epochs = ", ".join(f"{rung.candidates} for {rung.epochs} epochs" for rung in self.rungs)
        trained = f", which competed by short training ({epochs})" if epochs else ""
        chosen = (
            f"Shape {self.shape.name}, chosen from {len(self.candidates)}, of which {compared} keep to the budgets{trained}."
        )
        dropped = [f"{each.name}: {each.reason}" for each in self.candidates if each.reason]
        return (chosen, f"Shapes that did not compete: {'; '.join(dropped)}.") if dropped else (chosen,)
