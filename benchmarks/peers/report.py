"""The comparison as a page: who is ahead, the table, the versions, and what did not run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.lib.environment import describe_machine
from benchmarks.peers.comparison import Comparison, PeerResult
from u3p_edge.benchmark.loss_check import describe_loss
from u3p_edge.benchmark.paired import estimate_loss
from u3p_edge.benchmark.statistics import Interval, quartiles, ratio
from u3p_edge.report.markdown import table

HEADER = (
    "network", "Dice (95 %)", "points lost (95 %)", "ms", "threads", "times faster (95 %)", "memory, MB", "file, KB"
)  # fmt: skip


def describe(comparison: Comparison) -> str:
    """Return the report in Markdown."""
    data, rows = comparison.data, sorted(comparison.measured, key=_milliseconds)
    reference = comparison.peers[0]
    versions = [
        (peer.name, peer.runtime, ", ".join(f"{name} {number}" for name, number in sorted(peer.versions.items())))
        for peer in rows
    ]
    failed = [(peer.name, peer.failed) for peer in comparison.peers if peer.failed]
    return "\n\n".join([
        f"# Peers: {data.name}",
        f"Dice is the mean over the foreground classes on the {data.split} split: {data.groups} patients or images, whose "
        "bootstrap gives the intervals. Points lost and times faster are against the float32 file of TensorFlow's "
        "converter, in the same rounds. Each peer has the number of threads that suits it best. At one thread the "
        "processor's time counts, which leaves out the turns of other programs; at more threads the elapsed time. Memory is "
        f"the peak of its process beyond Python and NumPy. {_waited(reference)}",
        *_sentences(comparison),
        table(HEADER, [_row(peer, reference) for peer in rows]),
        "## Versions",
        table(("network", "runtime", "versions"), versions),
        "## What did not run",
        table(("peer", "message"), failed or [("none", "")]),
        f"{describe_machine(comparison.environment)}; features {', '.join(comparison.environment.features)}. "
        f"{len(reference.timings[0].elapsed_ms)} rounds. Command: `{comparison.command}`.",
    ]) + "\n"  # fmt: skip


def _row(peer: PeerResult, reference: PeerResult) -> tuple[str, ...]:
    dice, lost = peer.mean_dice, _lost(peer, reference)
    gain = ratio(reference.fastest.ms, peer.fastest.ms)
    return (
        peer.name,
        f"{dice.estimate:.2f} ({dice.low:.2f} to {dice.high:.2f})",
        f"{lost.estimate:+.2f} ({lost.low:+.2f} to {lost.high:+.2f})",
        f"{_milliseconds(peer):.2f}",
        str(peer.fastest.threads),
        f"{gain.estimate:.2f} ({gain.low:.2f} to {gain.high:.2f})",
        f"{_memory(peer):.1f}",
        f"{peer.file_bytes / 1000:.0f}",
    )


def _sentences(comparison: Comparison) -> Iterator[str]:
    """Yield what is said of each of this package's files: what validation shows, and which peers are ahead of it in what."""
    for ours in comparison.measured:
        if ours.ours:
            peers = [peer for peer in comparison.measured if not peer.ours]
            checked = f" On validation it {describe_loss(ours.validation)}." if ours.validation else ""
            ahead = "; ".join(f"in {what}: {_names(peers, ours, test)}" for what, test in AHEAD.items())
            yield f"**{ours.name}.**{checked} Ahead of it {ahead}."


def _names(peers: list[PeerResult], ours: PeerResult, test: Callable[[PeerResult, PeerResult], str]) -> str:
    return ", ".join(f"{peer.name} ({why})" for peer in peers if (why := test(peer, ours))) or "none"


def _faster(peer: PeerResult, ours: PeerResult) -> str:
    share = ratio(peer.fastest.ms, ours.fastest.ms)
    return f"{share.estimate:.2f} of its time, {share.low:.2f} to {share.high:.2f}" if share.high < 1 else ""


def _more_accurate(peer: PeerResult, ours: PeerResult) -> str:
    points = _lost(ours, peer)
    return f"{points.estimate:.2f} points, {points.low:.2f} to {points.high:.2f}" if points.low > 0 else ""


def _less_memory(peer: PeerResult, ours: PeerResult) -> str:
    return f"{_memory(peer):.1f} MB" if _memory(peer) < _memory(ours) else ""


def _smaller(peer: PeerResult, ours: PeerResult) -> str:
    return f"{peer.file_bytes / 1000:.0f} KB" if peer.file_bytes < ours.file_bytes else ""


AHEAD = {"time": _faster, "Dice": _more_accurate, "memory": _less_memory, "size": _smaller}
"""For each figure, a function that says by how much a peer is ahead of a file of this package; empty if it is not."""


def _lost(peer: PeerResult, reference: PeerResult) -> Interval:
    loss = estimate_loss(reference.scores, peer.scores)
    assert loss is not None, "some image has a foreground class"
    return loss


def _milliseconds(peer: PeerResult) -> float:
    return quartiles(peer.fastest.ms).estimate


def _memory(peer: PeerResult) -> float:
    return peer.peak_mb - peer.baseline_mb


def _waited(reference: PeerResult) -> str:
    """Return a sentence on how much longer the reference took than the processor worked for it, at one thread."""
    timing = min(reference.timings, key=lambda timing: timing.threads)
    share = float(np.median(np.divide(timing.elapsed_ms, timing.processor_ms))) - 1
    return f"Other programs ran too: at one thread the float network took {1 + max(0.0, share):.2f} times the processor's time."
