"""What `u3p-edge train` shows while it trains: a bar with the time left, and a line an epoch."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from u3p_edge.cli.terminal import plain_text

if TYPE_CHECKING:
    from u3p_edge.training.recipe import TrainRecipe
    from u3p_edge.training.state import EpochRecord, RunState


class RichProgress:
    """A `u3p_edge.training.progress.Progress` on a terminal; without one, the lines alone."""

    def __init__(self, recipe: TrainRecipe, out: Path, console: Console) -> None:
        self._recipe, self._out, self._console = recipe, out, console
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task: TaskID | None = None
        self._steps = 0

    def __enter__(self) -> RichProgress:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def begin(self, state: RunState, steps: int) -> None:
        """Show the bar; say where a run goes on."""
        self._steps = steps
        if state.finished:
            self._print(f"{self._out} is finished; --restart trains it anew.")
        elif state.epoch:
            self._print(f"Going on after epoch {state.epoch} (best so far: {state.best_epoch}).")
        # The bar starts at 0, or the epochs of an earlier process would count as done in no time.
        left = 0 if state.finished else (self._recipe.epochs - state.epoch) * steps
        self._task = self._bars.add_task("compiling", total=left)

    def step(self, epoch: int, step: int, loss: float) -> None:
        """Move the bar."""
        if self._task is not None:
            text = f"epoch {epoch}/{self._recipe.epochs}  step {step}/{self._steps}  loss {loss:.4f}"
            self._bars.update(self._task, advance=1, description=text)

    def end_epoch(self, record: EpochRecord, best: bool, gate_frozen: bool) -> None:
        """One line."""
        names = self._recipe.metadata().class_names[1:]
        each = "  ".join(
            f"{name} {'-' if dice is None else format(100 * dice, '.2f')}"
            for name, dice in zip(names, record.dice[1:], strict=True)
        )
        gate = "" if record.gate_accuracy is None else f"  gate {record.gate_accuracy:.3f}"
        losses = f"loss {record.train_loss:.4f}  validation {record.validation_loss:.4f}"
        scores = f"Dice {100 * record.mean_dice:.2f} ({each}){gate}"
        place = f"epoch {record.epoch:>3}/{self._recipe.epochs}"
        self._print(f"{place}  {losses}  {scores}  {record.seconds:.1f} s{'  best' if best else ''}")
        if gate_frozen:
            self._print("The gate has begun to overfit: it is frozen at its best; segmentation goes on.")

    def _print(self, text: str) -> None:
        self._console.print(plain_text(text), soft_wrap=True)
