"""Make the file of every peer and score it. What fails becomes a row with its message."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.peers.comparison import PeerResult
from benchmarks.peers.environments import python_of
from benchmarks.peers.peer import Material, Peer, PeerError
from benchmarks.peers.processes import Worker, make_file, start_worker
from benchmarks.peers.rounds import time_workers
from u3p_edge.benchmark.accuracy import dice_by_group
from u3p_edge.benchmark.loss_check import check_loss
from u3p_edge.data.load import Arrays
from u3p_edge.data.preprocess import to_labels
from u3p_edge.files.atomic import make_folder
from u3p_edge.metrics import Scores
from u3p_edge.progress import Progress

ALLOWED = 0.5
"""Points of Dice that this package's files may lose on the validation split."""

SLOWEST_MS = 2000.0
"""A peer that takes longer for one image is not scored: that would take hours."""


@dataclass(frozen=True)
class Task:
    """What all peers are measured on.

    Args:
        material: what they get.
        val, test: the splits, whose images are in the material too.
        labels: number of classes, background included.
        files: folder of the peers' files.
        environments: folder of their virtual environments.
    """

    material: Material
    val: Arrays
    test: Arrays
    labels: int
    files: Path
    environments: Path

    @property
    def image(self) -> Path:
        """The image that all are timed with."""
        path = self.files / "image.npy"
        if not path.exists():
            make_folder(self.files)
            np.save(path, self.test.images[0])
        return path


@dataclass(frozen=True)
class Made:
    """A peer with its row so far and, where it did not fail, its interpreter, its file and its scores on validation.

    Args:
        peer: the peer.
        row: of the table.
        python: its interpreter.
        file: that it has made.
        validation: Dice by group and class of the validation split; None where nobody asks for it.
    """

    peer: Peer
    row: PeerResult
    python: Path = Path()
    file: Path = Path()
    validation: Scores | None = None

    def start(self, threads: int, task: Task) -> Worker:
        """Load the file. Raises PeerError."""
        return start_worker(self.peer, self.python, self.file, threads, task.image)


def measure_peers(
    peers: Sequence[Peer], task: Task, threads: Sequence[int], rounds: int, progress: Progress
) -> tuple[PeerResult, ...]:
    """Return a row for every peer, in their order.

    Args:
        peers: the first is the reference, which may not fail.
        task: what they are measured on.
        threads: each is tried with every peer.
        rounds: of timing.
        progress: shows the stages.

    Raises:
        PeerError: the reference failed.
    """
    step = progress("Make and score files", len(peers))
    made = []
    for peer in peers:
        made.append(_make(peer, task, validate=peer.ours or peer is peers[0]))
        step(made[-1].row.failed)
    reference = made[0]
    if reference.row.failed:
        raise PeerError(f"{reference.row.name}, the reference, failed: {reference.row.failed}")
    made = [_check(one, reference, task) for one in made]
    rows = _time([one for one in made if not one.row.failed], task, threads, rounds, progress)
    return tuple(rows.get(one.peer.key, one.row) for one in made)


def _make(peer: Peer, task: Task, *, validate: bool) -> Made:
    """Make a peer's file and score it; what fails has a row that says why."""
    row = PeerResult(peer.key, peer.name, peer.runtime, peer.ours)
    try:
        python = python_of(peer, task.environments)
        made = Made(peer, row, python, make_file(peer, python, task.material, task.files))
        worker = made.start(1, task)
        try:
            _check_time(worker)
            dice = _score(worker, "test", task.test, task)
            validation = _score(worker, "val", task.val, task) if validate else None
        finally:
            worker.close()
    except PeerError as error:
        return Made(peer, replace(row, failed=str(error)))
    loaded = worker.loaded
    full = replace(
        row, versions=loaded["versions"], baseline_mb=loaded["baseline_mb"], peak_mb=loaded["peak_mb"],
        file_bytes=sum(path.stat().st_size for path in made.file.parent.rglob("*") if path.is_file()),
        dice=tuple(tuple(None if math.isnan(value) else float(value) for value in group) for group in dice),
    )  # fmt: skip
    return replace(made, row=full, validation=validation)


def _check_time(worker: Worker) -> None:
    """Raise PeerError for a peer that is too slow to be scored."""
    elapsed = worker.loaded["elapsed_ms"]
    if elapsed > SLOWEST_MS:
        raise PeerError(f"it takes {elapsed / 1000:.1f} s for one image, so it is not scored")


def _score(worker: Worker, split: str, arrays: Arrays, task: Task) -> Scores:
    """Return Dice of a split by group and class, float64 [G, labels]. Raises PeerError."""
    masks = worker.log.with_suffix(f".{split}.npy")
    worker.request(predict=str((task.material.folder / f"{split}_images.npy").resolve()), into=str(masks.resolve()))
    predicted = np.stack([to_labels(mask) for mask in np.load(masks, mmap_mode="r")])
    masks.unlink()
    return dice_by_group(arrays.labels, predicted, arrays.groups, task.labels)


def _check(one: Made, reference: Made, task: Task) -> Made:
    """Add what validation shows of this package's own files."""
    if not one.peer.ours or one.validation is None:
        return one
    assert reference.validation is not None, "the reference is scored on it too"
    check = check_loss(reference.validation, one.validation, ALLOWED, len(set(task.val.stems)))
    return replace(one, row=replace(one.row, validation=check))


def _time(made: Sequence[Made], task: Task, threads: Sequence[int], rounds: int, progress: Progress) -> dict[str, PeerResult]:
    """Return the rows by key with their times. A peer failed if it does so with every number of threads."""
    workers, rows, reasons = {}, {one.peer.key: one.row for one in made}, dict[str, str]()
    try:
        for one in made:
            for count in threads:
                try:
                    workers[one.peer.key, count] = one.start(count, task)
                except PeerError as error:
                    reasons[one.peer.key] = str(error)
        taken = time_workers(workers, rounds, progress(f"Time {len(made)} peers in turns", rounds))
    finally:
        for worker in workers.values():
            worker.close()
    reasons |= {key: str(error) for (key, _), error in taken.failed.items()}
    for (key, _), timing in taken.timings.items():
        rows[key] = replace(rows[key], timings=(*rows[key].timings, timing))
    return {
        key: row if row.timings else replace(PeerResult(key, row.name, row.runtime, row.ours), failed=reasons[key])
        for key, row in rows.items()
    }
