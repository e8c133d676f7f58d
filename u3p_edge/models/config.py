"""The configuration of a UNet 3+: one frozen value. No TensorFlow here.

Two presets:

- "paper": the network of Huang et al. 2020 (arXiv:2004.08790) as its authors' PyTorch code builds it.
- "article": the options and defaults of the Keras article whose parameter counts are this project's golden numbers. It
  differs from the paper in width, has no bias in normalised convolutions, and has a 1x1 head without deep supervision.

Both upsample their heads bilinearly (the article's nearest neighbour is not the paper's, and has no parameters).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from u3p_edge.config.limits import MAX_LABELS, check_range, check_size
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ConfigError
from u3p_edge.models.backbone_kinds import BACKBONES, Backbone

SCALES = 5
"""Levels of the encoder; scale 1 has the input's size, scale 5 a sixteenth of it."""

Normalization = Literal["batch", "layer", "none"]
DownPattern = Literal["max", "average", "conv", "normconv"]
Initializer = Literal["he_normal", "kaiming_normal"]


@dataclass(frozen=True)
class UNet3PlusConfig:
    """The options of a UNet 3+: they decide its graph and the distribution of its initial weights.

    Args:
        input_shape: (height, width, channels); height and width are multiples of 16.
        base_width: channels of encoder scale 1, doubled at each scale; also of each decoder branch.
        kernel_size: of the encoder, decoder and deep-supervision convolutions.
        classes: channels of the mask: 1 is a sigmoid, more a softmax over the labels, background included.
        multi_label: several channels are a sigmoid each, for classes that may overlap; none is the background's.
        normalization: what follows each convolution of encoder and decoder.
        double_features: an encoder block's second convolution has twice the channels of its first.
        residual: encoder blocks add their input (through a 1x1 convolution where the channels differ).
        down_pattern: between encoder scales: "max" or "average" pooling, "conv" (2x2 convolution of stride 2, then
            `down_normalization`) or "normconv" (`down_normalization`, then that convolution, with bias).
        down_normalization: see `down_pattern`; must be "none" for the poolings, which do not use it.
        deep_supervision: one mask of full size from each scale (`output_de1` to `output_de5`), else one (`output`).
        cgm: add the classification-guided module, whose output `cgm_output` is [N, `cgm_units`].
        cgm_dropout: its dropout rate, 0 <= rate < 1.
        binary_cgm_units: its units where `classes` is 1: 1 ("present") or, as the paper, 2 ("absent", "present").
        conv_bias: every 3x3 convolution has a bias. If not, only decoder convolutions without normalisation have one.
        head_kernel: kernel of the only head where there is no deep supervision; None means `kernel_size`.
        initializer: "he_normal" (truncated) or "kaiming_normal" (not truncated; batch normalisation's scale drawn from
            N(1, 0.02)). Biases start at zero in both.
        norm_momentum: of batch normalisation's moving averages, in Keras' sense (1 - PyTorch's).
        norm_epsilon: added to the variance by both normalisations.
        backbone: the network whose layers are the encoder (`u3p_edge.models.backbone_kinds`); None for the UNet 3+'s own.

    Raises:
        ConfigError: a value that is not allowed; the message names the option and its choices.
    """

    input_shape: tuple[int, int, int] = (256, 256, 1)
    base_width: int = 32
    kernel_size: int = 3
    classes: int = 1
    multi_label: bool = False
    normalization: Normalization = "batch"
    double_features: bool = False
    residual: bool = False
    down_pattern: DownPattern = "max"
    down_normalization: Normalization = "none"
    deep_supervision: bool = True
    cgm: bool = False
    cgm_dropout: float = 0.5
    binary_cgm_units: Literal[1, 2] = 1
    conv_bias: bool = False
    head_kernel: int | None = None
    initializer: Initializer = "he_normal"
    norm_momentum: float = 0.99
    norm_epsilon: float = 1e-3
    backbone: Backbone | None = None

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3:
            raise ConfigError(f"input_shape {self.input_shape!r} is not (height, width, channels)")
        check_size(*self.input_shape[:2])
        _check_choices(self)
        _check_ranges(self)
        if self.down_normalization != "none" and self.down_pattern not in ("conv", "normconv"):
            raise ConfigError(
                f"down_normalization {self.down_normalization!r} has no effect in the down_pattern {self.down_pattern!r}",
                mend="Use it with 'conv' or 'normconv', or set it to 'none'.",
            )
        if self.backbone is not None:
            _check_backbone(self)

    @property
    def cgm_units(self) -> int:
        """Channels of `cgm_output`: one per class, or `binary_cgm_units` for a sigmoid mask."""
        return self.classes if self.classes > 1 else self.binary_cgm_units

    @property
    def decoder_bias(self) -> bool:
        """Whether decoder convolutions have a bias."""
        return self.conv_bias or self.normalization == "none"

    @property
    def activation(self) -> str:
        """Activation of the mask: "sigmoid" for one channel or for classes that may overlap, else "softmax"."""
        return "sigmoid" if self.classes == 1 or self.multi_label else "softmax"

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs in order; the first is always the mask."""
        masks = tuple(f"output_de{scale}" for scale in range(1, SCALES + 1)) if self.deep_supervision else ("output",)
        return (*masks, "cgm_output") if self.cgm else masks

    def encoder_width(self, scale: int) -> int:
        """Return the channels of the first convolution of encoder block `scale` (1 to 5)."""
        return self.base_width * int(2 ** (scale - 1))


MAX_WIDTH = 1024
"""Most channels of the first scale: 16 times the paper's, and 4 GB of weights in one convolution of the last scale alone."""

LEAST_BACKBONE_SIDE = 32
"""Least height and width of the image for a backbone, as in tf_keras.applications."""

MAX_KERNEL = 31
"""Greatest height and width of a convolution's kernel."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "article": {"head_kernel": 1},
    "paper": {
        "input_shape": (320, 320, 1),
        "base_width": 64,
        "deep_supervision": False,
        "binary_cgm_units": 2,
        "conv_bias": True,
        "initializer": "kaiming_normal",
        "norm_momentum": 0.9,
        "norm_epsilon": 1e-5,
    },
}


def preset(name: str, **overrides: Any) -> UNet3PlusConfig:
    """Return the preset "article" or "paper" with some options replaced.

    Raises:
        ConfigError: an unknown preset, option or value; the message names the choices.

    >>> preset("paper", base_width=16).output_names
    ('output',)
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}", mend=f"It is one of {', '.join(map(repr, PRESETS))}.")
    return from_dict(UNet3PlusConfig, {**PRESETS[name], **overrides})


_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "normalization": get_args(Normalization),
    "down_pattern": get_args(DownPattern),
    "down_normalization": get_args(Normalization),
    "initializer": get_args(Initializer),
    "binary_cgm_units": (1, 2),
    "backbone": (None, *BACKBONES),
}


def _check_choices(config: UNet3PlusConfig) -> None:
    for name, choices in _CHOICES.items():
        value = getattr(config, name)
        if value not in choices:
            raise ConfigError(f"{name} cannot be {value!r}", mend=f"It is one of {', '.join(map(repr, choices))}.")


def _check_backbone(config: UNet3PlusConfig) -> None:
    if config.input_shape[2] not in (1, 3):
        raise ConfigError(f"the backbone {config.backbone} takes images of 1 or 3 channels, not {config.input_shape[2]}")
    if min(config.input_shape[:2]) < LEAST_BACKBONE_SIDE:
        raise ConfigError(
            f"images of {config.input_shape[0]}x{config.input_shape[1]} are too small for the backbone {config.backbone}",
            mend=f"Height and width are at least {LEAST_BACKBONE_SIDE}.",
        )
    if config.double_features or config.residual or config.down_pattern != "max":
        raise ConfigError(
            f"the backbone {config.backbone} has blocks of its own",
            mend="Leave double_features, residual and down_pattern as they are.",
        )


def _check_ranges(config: UNet3PlusConfig) -> None:
    head_kernel = 1 if config.head_kernel is None else config.head_kernel
    positive = {
        "input channels": config.input_shape[2],
        "base_width": config.base_width,
        "kernel_size": config.kernel_size,
        "classes": config.classes,
        "head_kernel": head_kernel,
    }
    most = {"base_width": MAX_WIDTH, "kernel_size": MAX_KERNEL, "head_kernel": MAX_KERNEL}
    for name, value in positive.items():
        check_range(name, value, 1, most.get(name, MAX_LABELS))
    for name, rate in (("cgm_dropout", config.cgm_dropout), ("norm_momentum", config.norm_momentum)):
        if not 0 <= rate < 1:
            raise ConfigError(f"{name} cannot be {rate}", mend="It is at least 0 and below 1.")
    if not (math.isfinite(config.norm_epsilon) and config.norm_epsilon > 0):
        raise ConfigError(f"norm_epsilon cannot be {config.norm_epsilon}", mend="It is above 0, for example 0.001.")
