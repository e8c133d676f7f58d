"""Settings of sparsity: which weights become zero, for a smaller compressed file. No TensorFlow here: recipes are read
without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from u3p_edge.config.limits import check_range
from u3p_edge.errors import ConfigError

Pattern = Literal["unstructured", "2:4"]


@dataclass(frozen=True)
class Zeros:
    """Magnitude pruning for file size (sparsity): a share of every kernel's weights, the smallest ones, becomes and stays zero.

    Args:
        share: share of each pruned kernel's weights that becomes zero, above 0 and below 1; 0.5 for the pattern "2:4".
        pattern: "unstructured" takes them from anywhere in the kernel. "2:4" takes two of every four that are neighbours along
            the input channels, which are axis 2 of a tf_keras kernel [h, w, I, O] and the last axis of a TFLite kernel
            [O, h, w, I]. The fours are counted from channel 0; of what is left over at the end, the two largest stay.
        epochs: number of epochs of fine-tuning; 0 prunes without any.

    Raises:
        ConfigError: a value is out of range.
    """

    share: float = 0.5
    pattern: Pattern = "unstructured"
    epochs: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"a share of {self.share:g} of the weights cannot become zero", mend="Use for example 0.5.")
        if self.pattern not in get_args(Pattern):
            raise ConfigError(f"there is no pruning pattern {self.pattern!r}", mend='Use "unstructured" or "2:4".')
        if self.pattern == "2:4" and self.share != 0.5:
            raise ConfigError("the pattern 2:4 has half its weights at zero", mend="Leave the share out, or give 0.5.")
        check_range("zeros.epochs", self.epochs, 0, 1_000_000)
