"""What `export` is told. No TensorFlow here."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal, get_args

from u3p_edge.config import Fit, Normalization
from u3p_edge.errors import ConfigError

Method = Literal["auto", "ptq", "qat"]
Format = Literal["tflite", "onnx"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class ExportRecipe:
    """Everything that decides an export, besides the model and the data.

    Args:
        int8: quantize; without it the float files alone are written.
        method: "auto" keeps post-training quantization if it loses at most `max_drop`, else trains; "ptq" and "qat"
            take that one ("qat" still falls back to the former where that scores better).
        max_drop: of mean foreground Dice on the validation split, in points (hundredths).
        qat_epochs: of quantization-aware training.
        qat_learning_rate: at its start; it decays to zero.
        calibration_images: of the training split, for post-training quantization.
        formats: of the files.
        float16: also write a TFLite file with float16 weights.
        float_io: keep float32 input and output around the integer network.
        min_sqnr: signal to quantization noise in dB that an int8 file's probabilities must reach on real images.
        rewrite: compute the network in the exact forms that are fastest in the runtime, and depth first in strips.
        rewrites: (site, form) pairs to take instead of choosing by timing.
        strips: number of horizontal strips; None for what the memory plan asks for, 1 for whole maps.
        memory_budget_mb: what the arena of activations may need, in 10^6 bytes; None for as little as costs little time.
        rounds: of timing, at 1 thread and at all.
        seed: of the order of training images.
        trust: run code that a Keras file holds.
        fit, normalization: preprocessing for a Keras file, which does not say its own.
        class_names: one a label, background first, for a Keras file.

    Raises:
        ConfigError: a value that cannot be.
    """

    int8: bool = True
    method: Method = "auto"
    max_drop: float = 0.1
    qat_epochs: int = 2
    qat_learning_rate: float = 1e-4
    calibration_images: int = 64
    formats: tuple[Format, ...] = FORMATS
    float16: bool = False
    float_io: bool = False
    min_sqnr: float = 10.0
    rewrite: bool = True
    rewrites: tuple[tuple[str, str], ...] = ()
    strips: int | None = None
    memory_budget_mb: float | None = None
    rounds: int = 15
    seed: int = 0
    trust: bool = False
    fit: Fit = "resize"
    normalization: Normalization = "percentile"
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.formats:
            raise ConfigError("no format was asked for", mend=f"Use --formats {','.join(FORMATS)}.")
        unknown = sorted(set(self.formats) - set(FORMATS))
        if unknown:
            raise ConfigError(f"the format {unknown[0]!r} is not known", mend=f"Use --formats {','.join(FORMATS)}.")
        for name, lowest in (("qat_epochs", 0), ("calibration_images", 1), ("rounds", 5), ("seed", 0), ("max_drop", 0)):
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name} cannot be {getattr(self, name)}", mend=f"It is {lowest} or more.")
        if self.strips is not None and self.strips < 1:
            raise ConfigError(f"{self.strips} strips cannot be", mend="Use 1 for whole maps, or more.")
        if self.memory_budget_mb is not None and not self.memory_budget_mb > 0:
            raise ConfigError(f"a memory budget of {self.memory_budget_mb:g} MB cannot be met", mend="Give more than 0.")
        if self.strips is not None and self.memory_budget_mb is not None:
            raise ConfigError("a number of strips and a memory budget exclude each other", mend="Give one of them.")
        if self.rewrites and not self.rewrite:
            raise ConfigError("recorded rewrites and no rewriting exclude each other", mend="Give one of them.")

    @property
    def as_it_came(self) -> bool:
        """Whether the files are to be the converters' own, of the network as it came and whole."""
        return not self.rewrite and self.strips is None and self.memory_budget_mb is None

    def to_json(self) -> str:
        """Compact JSON text, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
