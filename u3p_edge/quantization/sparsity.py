"""The options of sparsity: which weights become zero, for a smaller compressed file. No TensorFlow here: recipes are read
without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from u3p_edge.config.options import check_options, documented, option
from u3p_edge.errors import ConfigError

SparsityPattern = Literal["unstructured", "2:4"]


@documented
@dataclass(frozen=True)
class Sparsity:
    """Magnitude pruning for file size: a share of every kernel's weights, the smallest ones, becomes and stays zero.

    The pattern "unstructured" takes them from anywhere in the kernel. "2:4" takes two of every four that are neighbours along
    the input channels, which are axis 2 of a tf_keras kernel [h, w, I, O] and the last axis of a TFLite kernel [O, h, w, I].
    The fours are counted from channel 0; of what is left over at the end, the two largest stay.

    Raises:
        ConfigError: a value is out of range.
    """

    share: float = option(
        0.5, "Share of each large kernel's weights to set to zero, or 2:4: for gzip size, not for speed.", key="sparsity"
    )
    pattern: SparsityPattern = option(
        "unstructured", "Which of them: anywhere, or two of every four neighbours.", key="sparsity_pattern"
    )
    epochs: int = option(2, "Epochs of fine-tuning; 0 for none.", key="sparsity_epochs", low=0, high=1_000_000)
    learning_rate: float = option(
        1e-4, "Learning rate of fine-tuning at its start; it decays to zero.", key="sparsity_learning_rate", above=0
    )
    batch_size: int = option(4, "Images a step of fine-tuning.", key="sparsity_batch_size", low=1, high=65_536)

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"a share of {self.share:g} of the weights cannot become zero", mend="Use for example 0.5.")
        if self.pattern == "2:4" and self.share != 0.5:
            raise ConfigError("the pattern 2:4 has half its weights at zero", mend="Leave the share out, or give 0.5.")
        check_options(self, "sparsity")
