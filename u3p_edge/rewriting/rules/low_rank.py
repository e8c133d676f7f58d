"""A k x k convolution of many channels, as a 1x1 convolution to few channels and a k x k convolution of those.

Its kernel K[k, k, C, f], read as a matrix M of C rows and k^2 f columns, has rank r <= min(C, k^2 f). With the singular value
decomposition M = (U_r S_r) V_r, the left factor is a 1x1 convolution C -> r and V_r is a k x k convolution r -> f. If the
convolution reads an upsampled map, the 1x1 convolution goes before the upsampling, so that fewer channels are upsampled. The
two commute, because one mixes channels and the other pixels. Over any other map the form pays where f is small: a kernel of
one filter (a mask's head) leaves most lanes of a vector unit empty, while nine filters of one tap fill them.

Exact at full rank. Truncated to the r largest singular values it is the best approximation of M of that rank. Its relative
error in the Frobenius norm is sqrt(1 - energy), where the energy is the share of the sum of squared singular values that is
kept (Eckart and Young 1936).

Domain: stride 1, odd kernel, `same`, not dilated or grouped, linear or ReLU, k > 1, and r < C, since otherwise nothing is
saved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.ir import Graph
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.rules.pieces import conv_node, is_plain, replace_nodes
from u3p_edge.rewriting.rules.upsampled import match_upsampled


@dataclass(frozen=True)
class LowRank:
    """A 1x1 convolution to r channels, upsampled if the map was, then the k x k convolution of those.

    Args:
        energy: share of the squared singular values to keep, 0..1; 1 is the exact form at full rank.
        rank: the number of channels to keep instead; None to go by energy.
    """

    energy: float = 1.0
    rank: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.energy <= 1 or (self.rank is not None and self.rank < 1):
            raise ValueError(f"energy {self.energy} must be above 0 and at most 1, rank {self.rank} at least 1")

    @property
    def name(self) -> str:
        """See `Rule.name`."""
        if self.rank is not None:
            return f"low rank {self.rank}"
        return "low rank" if self.exact else f"low rank {self.energy:g}"

    @property
    def exact(self) -> bool:
        """See `Rule.exact`."""
        return self.rank is None and self.energy == 1

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """See `Rule.match`."""
        match = _site(graph, name)
        if not isinstance(match, Match):
            return match
        kernel = graph[name].weights["kernel"]
        if kernel.shape[:2] == (1, 1):
            return Refusal("a 1x1 kernel has no other 1x1 factor")
        channels, full = kernel.shape[2], _full_rank(kernel)
        if self.exact and full >= channels:
            return Refusal(f"its full rank is {full} of {channels} channels: no channel is saved")
        if self.rank is not None and self.rank >= min(full, channels):
            return Refusal(f"rank {self.rank} is no less than its full rank {full}")
        return match

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """See `Rule.rewrite`."""
        conv = graph[match.node]
        left, right = self._factors(conv.weights["kernel"])
        wide = [graph[name] for name in match.nodes[:-1]]
        small = conv_node(f"{conv.name}_small", wide[0].inputs[0] if wide else conv.inputs[0], left)
        grown = [replace(up, name=f"{conv.name}_up", inputs=(small.name,)) for up in wide]
        source = (grown or [small])[0].name
        new = replace(conv, inputs=(source,), weights={**conv.weights, "kernel": right})
        return replace_nodes(graph, match.nodes, [small, *grown, new])

    def _factors(self, kernel: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return kernels [1, 1, C, r] and [k, k, r, f] whose product is `kernel`, or the best approximation of it."""
        height, width, channels, filters = kernel.shape
        matrix = kernel.astype(np.float64).transpose(2, 0, 1, 3).reshape(channels, -1)
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        kept = self._kept(values)
        # Each kernel gets the root of every singular value: so their magnitudes, and with them their int8 steps, stay alike.
        root = np.sqrt(values[:kept])
        above = (root[:, None] * right[:kept]).reshape(kept, height, width, filters).transpose(1, 2, 0, 3)
        return (left[:, :kept] * root)[None, None].astype(np.float32), np.ascontiguousarray(above, np.float32)

    def _kept(self, values: npt.NDArray[np.float64]) -> int:
        if self.rank is not None:
            return self.rank
        energies = np.cumsum(values**2) / max(float(np.sum(values**2)), np.finfo(np.float64).tiny)
        return len(values) if self.exact else int(np.searchsorted(energies, self.energy)) + 1


def _site(graph: Graph, name: str) -> Match | Refusal | None:
    """Match the convolution of that name, together with the upsampling that it reads if it reads one."""
    conv = graph[name]
    if conv.op != "conv" or graph[conv.inputs[0]].op == "upsample":
        return match_upsampled(graph, name)
    reason = is_plain(conv)
    return Refusal(reason) if reason else Match(name, (name,))


def _full_rank(kernel: npt.NDArray[np.float32]) -> int:
    height, width, channels, filters = kernel.shape
    return int(min(channels, height * width * filters))


RULES = (LowRank(),)
