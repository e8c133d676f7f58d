"""Largest and smallest values of options, and the checks of them."""

from __future__ import annotations

from u3p_edge.errors import ConfigError

STRIDE = 16
"""Height and width must be multiples of this: UNet 3+ halves them four times."""

DEFAULT_SIZE = (256, 256)
"""Height and width of a trained network's input in pixels, unless the user gives others."""

MAX_SIDE = 16384
"""Largest height and width of a network's input, in pixels."""

MAX_THREADS = 512
"""Most threads of a runtime. With far more than a machine has, some runtimes end the process."""

MAX_MEMORY_MB = 4096
"""MB (10^6 bytes) that an exported file may take to run, unless the user gives another bound."""

MAX_SEED = 2**32 - 1
"""Largest seed of NumPy's and TensorFlow's random generators."""

MAX_LABELS = 256
"""Most classes, background included: a label is one byte."""

MAX_SLICES = 31
"""Most neighbouring slices that a network sees at once."""

MAX_NAME = 1000
"""Most characters of a class name or a version."""

MAX_INTEGER = 2**63 - 1
"""Largest whole number of any option: libraries count in 64 bits."""


def check_range(name: str, value: float, lowest: float, highest: float) -> None:
    """Raise ConfigError unless `lowest` <= value <= `highest`. NaN is out of range."""
    if not lowest <= value <= highest:
        raise ConfigError(f"{name} cannot be {value}", mend=f"It is {lowest} to {highest}.")


def check_size(height: int, width: int) -> None:
    """Raise ConfigError unless both are multiples of 16 from 16 to `MAX_SIDE`; the message names the nearest sizes."""
    if max(height, width) > MAX_SIDE:
        raise ConfigError(
            f"an input of {height}x{width} pixels is too large", mend=f"Height and width are at most {MAX_SIDE} pixels."
        )
    if height > 0 and width > 0 and height % STRIDE == 0 and width % STRIDE == 0:
        return

    def near(size: int) -> str:
        below, above = size // STRIDE * STRIDE, -(-size // STRIDE) * STRIDE
        return str(above) if below <= 0 or below == above else f"{below} or {above}"

    raise ConfigError(
        f"an input of {height}x{width} pixels does not fit UNet 3+: height and width must be multiples of {STRIDE}",
        mend=f"The nearest sizes are {near(max(height, 1))} for the height and {near(max(width, 1))} for the width.",
    )
