"""The options of `export`. No TensorFlow here."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Literal, get_args

from u3p_edge.config.limits import MAX_SEED, MAX_SIDE, check_range
from u3p_edge.config.preprocessing import Fit, Normalization, check_mean_std
from u3p_edge.data.labels import LabelRule
from u3p_edge.errors import ConfigError
from u3p_edge.quantize.zeros import Zeros

Method = Literal["auto", "ptq", "qat"]
Format = Literal["tflite", "onnx"]
FORMATS: tuple[Format, ...] = get_args(Format)
Measure = Literal["magnitude", "norm_scale", "taylor", "reconstruction", "random"]

QUANTIZATION_DROP = 0.1
"""Points of Dice that a pruned network may lose by post-training quantization before quantization-aware training is used
instead: the loss that `max_drop` allows is for pruning there."""

MOST = 1_000_000
"""The most epochs, updates, images and rounds."""

BUDGETS = ("speedup", "latency_budget_ms", "size_budget_mb", "shrink")


@dataclass(frozen=True)
class Pruning:
    """How channels are dropped, and how the network is fine-tuned afterwards. At least one of `BUDGETS` is given.

    Args:
        speedup: times faster than the float32 TFLite file of the original model, int8 at one thread.
        latency_budget_ms: milliseconds of the int8 TFLite file at one thread.
        size_budget_mb: of the int8 TFLite file, in 10^6 bytes.
        shrink: times smaller than the float32 TFLite file of the original model.
        importance: the measure of how much each channel matters (see `u3p_edge.prune.importance`); "random" is a control.
        steps: how often the network is pruned on its way to the budget, each time by the same factor and fine-tuned.
        updates: gradient steps of fine-tuning after each step but the last, rounded up to a whole epoch.
        final_updates: the same after the last. Steps are counted, not epochs, since a small data set has few steps an epoch.
        most_epochs: of fine-tuning after the last step, however small the data set; a quarter of it after the others.
        retries: how often a plan that lost too much is made again, half-way back to the last good one.
        batch_size: of fine-tuning.
        learning_rate: after the warm-up, before the cosine.
        distillation: weight of the loss on the float model's probabilities, beside the labels' loss.
        features: weight of the loss on its decoder's attention maps; 0 for none (the float model then need not run every step).

    Raises:
        ConfigError: a value that is not allowed.
    """

    speedup: float | None = None
    latency_budget_ms: float | None = None
    size_budget_mb: float | None = None
    shrink: float | None = None
    importance: Measure = "taylor"
    steps: int = 1
    updates: int = 1000
    final_updates: int = 4000
    most_epochs: int = 100
    retries: int = 2
    batch_size: int = 8
    learning_rate: float = 2e-3
    distillation: float = 1.0
    features: float = 0.0

    def __post_init__(self) -> None:
        budgets = {name: getattr(self, name) for name in BUDGETS}
        given = {name: value for name, value in budgets.items() if value is not None}
        if not given:
            raise ConfigError("pruning has no budget", mend=f"Give {', '.join(budgets)} or several of them.")
        for name, value in given.items():
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} cannot be {value:g}", mend="It is above 0.")
        if self.speedup is not None and self.latency_budget_ms is not None:
            raise ConfigError("a speed-up and a latency budget exclude each other", mend="Give one of them.")
        if self.shrink is not None and self.size_budget_mb is not None:
            raise ConfigError("a share of the file and a size budget exclude each other", mend="Give one of them.")
        for name, lowest, highest in (
            ("steps", 1, 1000),
            ("updates", 0, MOST),
            ("final_updates", 0, MOST),
            ("most_epochs", 1, MOST),
            ("retries", 0, 1000),
            ("batch_size", 1, 65_536),
        ):
            check_range(f"pruning.{name}", getattr(self, name), lowest, highest)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"pruning.learning_rate cannot be {self.learning_rate}", mend="Use for example 0.001.")
        for name in ("distillation", "features"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigError(f"pruning.{name} cannot be {getattr(self, name)}", mend="It is 0 or more.")


def check_device(pruning: Pruning) -> None:
    """Raise ConfigError for a budget that cannot be checked by another device's latency table."""
    if pruning.speedup is not None:
        raise ConfigError(
            "a speed-up is against the float32 file, whose time on that device is not known",
            mend="Give --latency-budget-ms.",
        )


@dataclass(frozen=True)
class ExportRecipe:
    """Everything that decides an export, besides the model and the data.

    Args:
        int8: quantize; without it the float files alone are written.
        method: "auto" keeps post-training quantization if it loses at most `max_drop`, else trains quantization-aware; "ptq"
            and "qat" take that one ("qat" still falls back to the former where that scores better).
        max_drop: of mean foreground Dice on the validation split, in points (hundredths): what the int8 network may lose
            against the original model. A pruned network may lose it by pruning; any other, by post-training quantization.
        qat_epochs: of quantization-aware training.
        qat_learning_rate: at its start; it decays to zero.
        calibration_images: of the training split, for post-training quantization.
        formats: of the files.
        float16: also write a TFLite file with float16 weights.
        float_io: keep float32 input and output around the integer network.
        min_sqnr: signal to quantization noise in dB that an int8 file's probabilities must reach on real images.
        rewrite: compute the network by the exact candidates that are fastest in the runtime, with spatial tiling.
        rewrites: (site, candidate) pairs to take instead of selecting by timing.
        strips: number of tiles (of rows); None for what the memory plan asks for, 1 for whole maps.
        memory_budget_mb: the most that the activation arena may need, in 10^6 bytes; None for as little as costs little time.
        pruning: drop channels; None keeps all.
        zeros: sparsity: set small weights to zero; None for none.
        rounds: of timing, with 1 thread and with all.
        seed: of the order of training images.
        trust: run code that a Keras file holds.
        mask: name of the output that is the mask; empty where it follows from the model.
        fit, normalization, mean, std: preprocessing for a Keras file, which does not say its own.
        class_names: one per label, background first, for a Keras file.
        group_column: column of split.csv whose groups are never split across sets; None takes the one that the model was
            trained with, else looks for a usual one.
        ignore_label, label_map: what the values of masks mean, see `u3p_edge.data.labels.LabelRule`; without either, what the
            model was trained with.

    Raises:
        ConfigError: a value that is not allowed.
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
    pruning: Pruning | None = None
    zeros: Zeros | None = None
    rounds: int = 15
    seed: int = 0
    trust: bool = False
    mask: str = ""
    fit: Fit = "resize"
    normalization: Normalization = "percentile"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    class_names: tuple[str, ...] = ()
    group_column: str | None = None
    ignore_label: int | None = None
    label_map: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        _ = LabelRule(self.ignore_label, self.label_map)  # its own checks
        if not self.formats:
            raise ConfigError("no format was asked for", mend=f"Use --formats {','.join(FORMATS)}.")
        unknown = sorted(set(self.formats) - set(FORMATS))
        if unknown:
            raise ConfigError(f"the format {unknown[0]!r} is not known", mend=f"Use --formats {','.join(FORMATS)}.")
        for name, lowest, highest in (
            ("qat_epochs", 0, MOST),
            ("calibration_images", 1, MOST),
            ("rounds", 5, MOST),
            ("seed", 0, MAX_SEED),
            ("max_drop", 0, 100),
        ):
            check_range(name, getattr(self, name), lowest, highest)
        if self.strips is not None and not 1 <= self.strips <= MAX_SIDE:
            raise ConfigError(f"{self.strips} strips cannot be", mend=f"Use 1 for whole maps, or more, up to {MAX_SIDE}.")
        if self.memory_budget_mb is not None and not self.memory_budget_mb > 0:
            raise ConfigError(f"a memory budget of {self.memory_budget_mb:g} MB cannot be met", mend="Give more than 0.")
        if self.strips is not None and self.memory_budget_mb is not None:
            raise ConfigError("a number of strips and a memory budget exclude each other", mend="Give one of them.")
        if self.rewrites and not self.rewrite:
            raise ConfigError("recorded rewrites and no rewriting exclude each other", mend="Give one of them.")
        if (self.pruning or self.zeros) and not self.int8:
            raise ConfigError("pruning is for int8 files, and no int8 was asked for", mend="Add --int8.")
        check_mean_std(self.normalization, self.mean, self.std)

    @property
    def ptq_may_lose(self) -> float:
        """Points of validation Dice that a network may lose by post-training quantization."""
        return self.max_drop if self.pruning is None else min(QUANTIZATION_DROP, self.max_drop)

    @property
    def as_it_came(self) -> bool:
        """Whether the files are to be the converters' own, of the original network and without spatial tiling."""
        untouched = self.pruning is None and self.zeros is None
        return untouched and not self.rewrite and self.strips is None and self.memory_budget_mb is None

    def to_json(self) -> str:
        """Compact JSON text, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
