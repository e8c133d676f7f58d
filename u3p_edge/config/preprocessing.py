"""How an image becomes the input of a network: the options that training, prediction and benchmarks share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from u3p_edge.config.limits import MAX_SLICES, check_range, check_size
from u3p_edge.errors import ConfigError

Fit = Literal["resize", "pad"]
Normalization = Literal["percentile", "zscore", "range", "none", "meanstd"]


@dataclass(frozen=True)
class Preprocessing:
    """How the pixels of an image become the network's input.

    First the intensities of the whole original image are normalised, then the image is fitted to `height` x `width`.

    Args:
        height, width: the network's input in pixels, multiples of 16, at most `MAX_SIDE`.
        channels: of the network's input: 1 (grey), 3 (RGB), or one for each of several slices.
        fit: "resize" (bilinear; nearest for masks) or "pad" (pad with the minimum or crop around the centre, no resampling).
        normalization: "percentile" (clip to [low, high] percentiles, scale to 0..1), "zscore" (zero mean, unit
            variance), "range" (the integer type's full range to 0..1), "none" (raw pixel values, e.g. 0..255) or
            "meanstd" ((pixel - mean) / std, channel by channel).
        low, high: the percentiles, in percent; only "percentile" uses them.
        mean, std: one number for each channel, in raw pixel values (0..255 for 8-bit images, 0..65535 for 16-bit ones), or one
            for all slices; only "meanstd" uses them, and they are empty for the others.
        slices: neighbouring grey slices of a volume that are the channels, in their order: an odd number, the middle one is
            segmented. 1 for single images.

    Raises:
        ConfigError: a value is not allowed.
    """

    height: int
    width: int
    channels: int = 1
    fit: Fit = "resize"
    normalization: Normalization = "percentile"
    low: float = 1.0
    high: float = 99.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    slices: int = 1

    def __post_init__(self) -> None:
        check_size(self.height, self.width)
        check_slices(self.slices)
        if self.slices > 1 and self.channels != self.slices:
            raise ConfigError(
                f"{self.slices} slices do not fit a network of {self.channels} channels", mend="Each slice is one channel."
            )
        if self.slices == 1 and self.channels not in (1, 3):
            raise ConfigError(f"{self.channels} image channels are not supported", mend="Use 1 (grey) or 3 (RGB).")
        if not 0 <= self.low < self.high <= 100:
            raise ConfigError(
                f"percentiles low={self.low}, high={self.high} are not 0 <= low < high <= 100", mend="Use for example 1, 99."
            )
        check_mean_std(self.normalization, self.mean, self.std)
        if self.mean and len(self.mean) not in {self.channels, self.channels // self.slices}:
            raise ConfigError(
                f"mean and std have {len(self.mean)} values, but channels is {self.channels}",
                mend="Give one value for each channel.",
            )

    @property
    def image_channels(self) -> int:
        """Channels of each image: those of the input, or 1 (grey) where that is of several slices."""
        return self.channels // self.slices


def check_slices(slices: int) -> None:
    """Raise ConfigError unless it is an odd number from 1 to `MAX_SLICES`."""
    check_range("slices", slices, 1, MAX_SLICES)
    if slices % 2 == 0:
        raise ConfigError(f"slices cannot be {slices}", mend="It is an odd number: the middle slice is segmented.")


def check_mean_std(normalization: Normalization, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Raise ConfigError unless "meanstd" has as many means as stds, all finite and each std above 0, and others have none."""
    if normalization != "meanstd":
        if mean or std:
            raise ConfigError(
                f'mean and std have no effect on the normalization "{normalization}"', mend='Use normalization "meanstd".'
            )
        return
    if not mean or len(mean) != len(std):
        raise ConfigError(
            f'the normalization "meanstd" has {len(mean)} means and {len(std)} standard deviations',
            mend="Give one mean and one std for each channel, in raw pixel values (0 to 255 for 8-bit images).",
        )
    for name, values in (("mean", mean), ("std", std)):
        for value in values:
            if not math.isfinite(value) or (name == "std" and not value > 0):
                raise ConfigError(f"{name} cannot be {value}", mend=f"It is a number{' above 0' if name == 'std' else ''}.")
