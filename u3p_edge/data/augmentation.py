"""How much training images may vary: the options, without NumPy, which the command line reads before it knows its command."""

from __future__ import annotations

from dataclasses import dataclass, fields

from u3p_edge.errors import ConfigError


@dataclass(frozen=True)
class Augmentation:
    """How much a training image may vary. The defaults suit scans and micrographs.

    Args:
        probability: of each transformation, 0 for none at all.
        flip_horizontal, flip_vertical: allow mirror images; forbid them where left and right, or up and down,
            distinguish classes.
        rotation: largest angle in degrees, either way.
        scaling: largest enlargement, e.g. 0.2 for 1 / 1.2 to 1.2 times.
        shift: largest shift as a share of height and width, either way.
        gain: largest relative change of contrast, as `scaling`.
        gamma: largest exponent less 1, as `scaling`: 0.4 for exponents of 1 / 1.4 to 1.4.
        noise: largest standard deviation of Gaussian noise, as a share of the image's range.
        bias: largest relative change by a smooth field over the image, either way.

    Raises:
        ConfigError: a value is out of range.
    """

    probability: float = 0.5
    flip_horizontal: bool = True
    flip_vertical: bool = True
    rotation: float = 15.0
    scaling: float = 0.2
    shift: float = 0.06
    gain: float = 0.2
    gamma: float = 0.4
    noise: float = 0.05
    bias: float = 0.3

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) >= 0:
                raise ConfigError(f"augmentation {field.name}={getattr(self, field.name)} is below 0")
        for name, most in (("probability", 1), ("bias", 1), ("shift", 1), ("rotation", 360)):
            if not getattr(self, name) <= most:
                raise ConfigError(f"augmentation {name}={getattr(self, name)} is above {most}")
        for name in ("scaling", "gain", "gamma", "noise"):
            if not getattr(self, name) <= 100:
                raise ConfigError(f"augmentation {name}={getattr(self, name)} is above 100")


NO_AUGMENTATION = Augmentation(probability=0.0)
"""Leaves images and labels unchanged."""
