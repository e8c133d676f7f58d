"""The logs in a run folder: history.json, history.csv, TensorBoard events, scores.json."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from u3p_edge.config.metadata import Metadata
from u3p_edge.data.load import Arrays
from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import make_folder, write_json, write_text
from u3p_edge.metrics import Scores
from u3p_edge.training.evaluate import Evaluation, mean_foreground
from u3p_edge.training.output import BOARD, HISTORY_CSV, HISTORY_JSON
from u3p_edge.training.state import EpochRecord


def write_history(run: Path, history: Sequence[EpochRecord], names: Sequence[str]) -> None:
    """Write history.json and history.csv, one record per epoch. Raises ArtifactError.

    Args:
        run: the run folder.
        history: the records.
        names: of the labels, background first; the CSV has a column `dice NAME` for each.
    """
    write_json(run / HISTORY_JSON, {"labels": list(names), "epochs": [dataclasses.asdict(record) for record in history]})
    if not history:
        return
    rows = [_flat(record, names) for record in history]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(run / HISTORY_CSV, text.getvalue())


class Board:
    """TensorBoard events of a run, in tb/; older ones are replaced by the history, so a resumed run has each epoch once."""

    def __init__(self, run: Path, history: Sequence[EpochRecord], names: Sequence[str]) -> None:
        folder = run / BOARD
        make_folder(folder)
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._folder, self._names = folder, names
        with _raise_artifact_error(folder):
            self._writer = tf.summary.create_file_writer(str(folder))
        for record in history:
            self.add(record)

    def add(self, record: EpochRecord) -> None:
        """Add one epoch's numbers; they are safe on disk when this returns."""
        with _raise_artifact_error(self._folder):
            with self._writer.as_default():
                for name, value in _flat(record, self._names).items():
                    if name != "epoch" and value is not None:
                        tf.summary.scalar(name.replace(" ", "/"), float(value), step=record.epoch)
            self._writer.flush()

    def close(self) -> None:
        """Close the file; no more epochs can be added."""
        with _raise_artifact_error(self._folder):
            self._writer.close()


@contextlib.contextmanager
def _raise_artifact_error(folder: Path) -> Iterator[None]:
    """Raise TensorFlow's errors as ArtifactError: TensorFlow writes the events, so a full disk is one of its errors."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = str(error.message).strip().splitlines()[-1] if error.message else type(error).__name__
        raise ArtifactError(
            f"{folder} cannot be written: {reason}", mend="Free space, then run the same command again."
        ) from error


def scores(evaluation: Evaluation, arrays: Arrays, metadata: Metadata) -> dict[str, Any]:
    """Return one split's scores for scores.json: Dice and IoU as in a report, 0..1, None for a label that occurs nowhere."""
    names = metadata.class_names
    out: dict[str, Any] = {
        "images": len(set(arrays.stems)),
        "groups": len(set(arrays.groups)),
        "loss": evaluation.loss,
        "dice": _by_name(evaluation.dice, names),
        "iou": _by_name(evaluation.iou, names),
        "mean_dice": evaluation.mean_dice,
        "mean_iou": evaluation.mean_iou,
    }
    if (gated := evaluation.gated_dice) is not None:
        out["gate"] = {
            "accuracy": evaluation.gate_accuracy,
            "loss": evaluation.gate_loss,
            "dice": _by_name(gated, names),
            "mean_dice": mean_foreground(gated),
        }
    return out


def with_none(values: Scores) -> tuple[float | None, ...]:
    """Return values with None in place of NaN, which JSON does not have."""
    return tuple(None if value != value else float(value) for value in values)


def _by_name(values: Scores, names: Sequence[str]) -> dict[str, float | None]:
    return dict(zip(names, with_none(values), strict=True))


def _flat(record: EpochRecord, names: Sequence[str]) -> dict[str, float | int | None]:
    plain = dataclasses.asdict(record)
    per_label = plain.pop("dice")
    return {**plain, **{f"dice {name}": value for name, value in zip(names, per_label, strict=True)}}
