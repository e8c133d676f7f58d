"""The options of `export`, each written once: as a field of a group. No TensorFlow here.

A TOML file has a table for each group. As keyword arguments and flags the options have the names that
`u3p_edge.config.options.option` gives them; `u3p_edge.recipes.build` puts them over a recipe.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args

from u3p_edge.config.limits import MAX_SEED, MAX_SIDE, MAX_SLICES, check_size
from u3p_edge.config.metadata import Axis, OutputKind
from u3p_edge.config.options import Option, check_options, documented, list_options, option
from u3p_edge.config.preprocessing import Fit, Normalization, Preprocessing, check_mean_std, check_slices
from u3p_edge.data.labels import LabelRule
from u3p_edge.errors import ConfigError
from u3p_edge.pruning.importance import MEASURES
from u3p_edge.quantization.sparsity import Sparsity

QuantizationMethod = Literal["auto", "ptq", "qat"]
Format = Literal["tflite", "onnx"]
FORMATS: tuple[Format, ...] = get_args(Format)
if TYPE_CHECKING:
    ImportanceMeasure = str
else:
    ImportanceMeasure = Literal[MEASURES]  # one table names the measures; a type checker cannot read it

QUANTIZATION_DROP = 0.1
"""Points of Dice that a pruned network may lose by post-training quantization before quantization-aware training is used
instead: the loss that `max_drop` allows is for pruning there."""

MOST = 1_000_000
"""The most epochs, updates, images and rounds."""

BUDGETS = ("speedup", "latency_budget_ms", "size_budget_mb", "shrink")


@documented
@dataclass(frozen=True)
class Pruning:
    """Drop channels to meet a budget, and fine-tune the network that is left. At least one of `BUDGETS` is given.

    Raises:
        ConfigError: a value that is not allowed.
    """

    speedup: float | None = option(None, "Prune until int8 is so many times as fast as the float32 TFLite file.", above=0)
    latency_budget_ms: float | None = option(
        None, "Prune until the int8 TFLite file takes so many milliseconds, at one thread.", above=0
    )
    size_budget_mb: float | None = option(None, "Prune until the int8 TFLite file has so many megabytes (10^6 bytes).", above=0)
    shrink: float | None = option(None, "Prune until the int8 file is so many times smaller than the float32 file.", above=0)
    importance: ImportanceMeasure = option("taylor", "How much a channel matters; random is a control.")
    steps: int = option(
        1, "Steps on the way to the budget, each by the same factor and fine-tuned.", key="pruning_steps", low=1, high=1000
    )
    shares: tuple[float, ...] = option(
        (), "Shares of the way to the budget, ascending below 1, of steps that are each fine-tuned as the last is; none for "
        "equal steps by --pruning-steps.", key="pruning_shares",
    )  # fmt: skip
    updates: int = option(
        1000, "Gradient steps of fine-tuning after each step but the last, rounded up to whole epochs.",
        key="pruning_updates", low=0, high=MOST,
    )  # fmt: skip
    final_updates: int = option(
        4000, "Gradient steps of fine-tuning after the last step.", key="pruning_final_updates", low=0, high=MOST
    )
    most_epochs: int = option(
        100, "Most epochs after the last step, however small the data; a quarter of it after the others.",
        key="pruning_most_epochs", low=1, high=MOST,
    )  # fmt: skip
    shape: str = option(
        "", "The shape that pruning starts from, e.g. 'folded by 2'; 'unchanged' for the network's own. A network that cannot "
        "take it keeps its own.",
    )  # fmt: skip
    search: bool = option(
        False, "Search for the shape that is best within the budgets: folded levels, a deeper head, fewer branches."
    )
    search_minutes: float = option(
        60, "About how long the search may take on two cores; the same limit gives the same search on any machine.",
        low=0.1, high=MOST,
    )  # fmt: skip
    retries: int = option(
        2, "How often a plan that lost too much is made again, half-way back to the last good one.",
        key="pruning_retries", low=0, high=1000,
    )  # fmt: skip
    fallback: bool = option(
        True, "Take the last network within --max-drop where pruning loses more; otherwise the last step's, whatever it loses.",
        key="pruning_fallback",
    )  # fmt: skip
    batch_size: int = option(8, "Images a step of fine-tuning.", key="pruning_batch_size", low=1, high=65_536)
    learning_rate: float = option(
        2e-3, "Learning rate of fine-tuning, after the warm-up and before the cosine.", key="pruning_learning_rate", above=0
    )
    distillation: float = option(1.0, "Weight of the loss on the float model's probabilities, beside the labels' loss.", low=0)
    features: float = option(
        0.0, "Weight of the loss on the float model's attention maps; 0 saves running it in every step.", low=0
    )

    def __post_init__(self) -> None:
        if not any(getattr(self, name) is not None for name in BUDGETS):
            raise ConfigError("pruning has no budget", mend=f"Give {', '.join(BUDGETS)} or several of them.")
        check_options(self, "pruning")
        if self.speedup is not None and self.latency_budget_ms is not None:
            raise ConfigError("a speed-up and a latency budget exclude each other", mend="Give one of them.")
        if any(not low < high for low, high in pairwise((0.0, *self.shares, 1.0))):
            raise ConfigError(f"pruning.shares cannot be {self.shares}", mend="They ascend between 0 and 1, e.g. 0.4, 0.7.")
        if self.shape and self.search:
            raise ConfigError("a shape and a search for one exclude each other", mend="Give one of them.")
        if self.shares and self.steps > 1:
            raise ConfigError("shares and a number of steps exclude each other", mend="Give one of them.")
        if self.shrink is not None and self.size_budget_mb is not None:
            raise ConfigError("a share of the file and a size budget exclude each other", mend="Give one of them.")


def check_device(pruning: Pruning) -> None:
    """Raise ConfigError for a budget that cannot be checked by another device's latency table."""
    if pruning.speedup is not None:
        raise ConfigError(
            "a speed-up is against the float32 file, whose time on that device is not known", mend="Give --latency-budget-ms."
        )


@documented
@dataclass(frozen=True)
class QuantizationOptions:
    """From float to 8-bit integers."""

    method: QuantizationMethod = option(
        "auto", "ptq, qat, or auto: train (qat) only where post-training quantization (ptq) loses more than --max-drop."
    )
    qat_epochs: int = option(
        2, "Quantization-aware training for so many epochs, even if post-training would do.", low=0, high=MOST
    )
    qat_learning_rate: float = option(1e-4, "Learning rate of that training at its start; it decays to zero.", above=0)
    qat_distillation: float = option(
        1.0, "Weight of the float network's own probabilities in that training, beside the labels' loss.", low=0
    )
    calibration_images: int = option(64, "Training images that measure the ranges.", low=1, high=MOST)
    float_io: bool = option(False, "Float32 input and output of the int8 files.")
    min_sqnr: float = option(10.0, "Signal to quantization noise in dB that an int8 file must reach, or the export fails.")

    def __post_init__(self) -> None:
        check_options(self, "quantization")


@documented
@dataclass(frozen=True)
class RewritingOptions:
    """Compute the same function in the exact forms that are fastest in the runtime."""

    enabled: bool = option(True, "Compute the same function in the exact forms that are fastest.", key="rewrite")
    choices: tuple[tuple[str, str], ...] = option(
        (), "Pairs of site and form to take instead of timing: rewrites.json of another export.", key="rewrites"
    )

    def __post_init__(self) -> None:
        if self.choices and not self.enabled:
            raise ConfigError("recorded rewrites and no rewriting exclude each other", mend="Give one of them.")


@documented
@dataclass(frozen=True)
class TilingOptions:
    """Spatial tiling: compute the full-size maps in tiles of rows, so that they never exist whole."""

    tiles: int | None = option(
        None, "Tiles of rows to compute the full-size maps in; 1 for whole maps, none for what memory asks for.",
        low=1, high=MAX_SIDE,
    )  # fmt: skip
    memory_budget_mb: float | None = option(
        None, "What the arena of activations may need, in MB (10^6 bytes), instead of a number of tiles.", above=0
    )

    def __post_init__(self) -> None:
        check_options(self, "tiling")
        if self.tiles is not None and self.memory_budget_mb is not None:
            raise ConfigError("a number of tiles and a memory budget exclude each other", mend="Give one of them.")


@documented
@dataclass(frozen=True)
class MeasurementOptions:
    """How networks and files are timed."""

    rounds: int = option(15, "Timed rounds of the finished files, at 1 thread and at all.", low=5, high=MOST)
    profile: bool = option(
        False, "Plan by layers and forms timed on this machine, not by the packaged latency table of its kind of processor."
    )

    def __post_init__(self) -> None:
        check_options(self, "measurement")


@documented
@dataclass(frozen=True)
class ModelOptions:
    """What a Keras or ONNX file, or a checkpoint, does not say itself; a run folder does."""

    fit: Fit = option("resize", "How an image of another size is fitted: resize it, or pad and crop.")
    normalization: Normalization | None = option(
        None,
        "The normalisation that it was trained with; by default percentile, or none for a network that scales pixels itself.",
        flag="--normalize",
    )
    mean: tuple[float, ...] = option((), "For meanstd: one number a channel, in raw pixel values.")
    std: tuple[float, ...] = option((), "For meanstd: as the mean.")
    class_names: tuple[str, ...] = option((), "Names of the classes, background first.")
    mask: str = option("", "Name of the output that is the mask, where that does not follow from the model.")
    size: tuple[int, ...] = option((), "Height and width of the image, where a file leaves them open.")
    slices: int = option(1, "Neighbouring slices of a volume that are its channels, an odd number.", low=1, high=MAX_SLICES)
    axis: Axis | None = option(None, "Which slices of scans it was trained on. `predict` cuts scans into them.")
    multi_label: bool = option(
        False, "The classes of a mask may overlap: several logits get a sigmoid each, and not a softmax over all."
    )

    def __post_init__(self) -> None:
        check_options(self, "model")
        check_mean_std(self.normalization or "percentile", self.mean, self.std)
        check_slices(self.slices)
        if self.size and len(self.size) != 2:
            raise ConfigError(f"the size {self.size} is not a height and a width", mend="Give for example 256 and 256.")
        if self.size:
            check_size(*self.size)

    def preprocessing(self, height: int, width: int, channels: int) -> Preprocessing:
        """Return how images become inputs of that size; by percentile where no normalisation is given."""
        normalization = self.normalization or "percentile"
        mean, std = self.mean, self.std
        return Preprocessing(height, width, channels, self.fit, normalization, mean=mean, std=std, slices=self.slices)


@documented
@dataclass(frozen=True)
class LabelOptions:
    """How the data folder is read. An export without any of these reads it as in training."""

    group_column: str | None = option(
        None, "Column of split.csv that is never split across sets, e.g. patient.", flag="--group"
    )
    ignore_label: int | None = option(None, "Value of mask pixels that count neither in training nor in scores, e.g. 255.")
    label_map: tuple[tuple[int, int], ...] = option((), "Classes of mask values, e.g. 1:0,2:1; others stay.", flag="--map")
    mask_colours: tuple[tuple[str, int], ...] = option(
        (), "Classes of colours, where masks are colour pictures: '#000000:0,#ff0000:1', or a CSV file of such a table."
    )

    def __post_init__(self) -> None:
        _ = self.rule()  # its own checks

    def rule(self) -> LabelRule:
        """Return what the values and colours of masks mean."""
        return LabelRule(self.ignore_label, self.label_map, self.mask_colours)


LABEL_OPTIONS: Mapping[str, Option] = {entry.key: entry for entry in list_options(LabelOptions)}
"""Every one of these, by its keyword, for commands that read a data folder and have no recipe."""


@documented
@dataclass(frozen=True)
class ExportRecipe:
    """Everything that decides an export, besides the model and the data. `pruning` and `sparsity` are None where they are off.

    Raises:
        ConfigError: a value that is not allowed.
    """

    int8: bool = option(True, "Quantize to int8; otherwise float files alone.")
    max_drop: float = option(
        0.1, "Points of validation Dice that the int8 network may lose: by pruning where it is pruned, else by quantization.",
        low=0, high=100,
    )  # fmt: skip
    require_shown: bool = option(
        False, "Fail unless int8 is shown to lose at most --max-drop: exit code 1 where it is shown to lose more, 4 where the "
        "validation patients do not decide; the files are kept.",
    )  # fmt: skip
    formats: tuple[Format, ...] = option(FORMATS, "Formats of the files: tflite, onnx.")
    float16: bool = option(False, "Also a TFLite file with float16 weights.")
    output: OutputKind = option(
        "probabilities", "What the files give for each pixel: probabilities, the logits before sigmoid or softmax, or the "
        "label alone.",
    )  # fmt: skip
    seed: int = option(0, "Seed of the order of training images.", low=0, high=MAX_SEED)
    pruning: Pruning | None = None
    quantization: QuantizationOptions = field(default_factory=QuantizationOptions)
    sparsity: Sparsity | None = None
    rewriting: RewritingOptions = field(default_factory=RewritingOptions)
    tiling: TilingOptions = field(default_factory=TilingOptions)
    measurement: MeasurementOptions = field(default_factory=MeasurementOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    data: LabelOptions = field(default_factory=LabelOptions)

    def __post_init__(self) -> None:
        if not self.formats:
            raise ConfigError("no format was asked for", mend=f"Use --formats {','.join(FORMATS)}.")
        if unknown := sorted(set(self.formats) - set(FORMATS)):
            raise ConfigError(f"the format {unknown[0]!r} is not known", mend=f"Use --formats {','.join(FORMATS)}.")
        check_options(self)
        if (self.pruning or self.sparsity) and not self.int8:
            raise ConfigError("pruning is for int8 files, and no int8 was asked for", mend="Add --int8.")
        if self.require_shown and not self.int8:
            raise ConfigError("--require-shown is for int8 files, and no int8 was asked for", mend="Add --int8.")

    @property
    def ptq_may_lose(self) -> float:
        """Points of validation Dice that a network may lose by post-training quantization."""
        return self.max_drop if self.pruning is None else min(QUANTIZATION_DROP, self.max_drop)

    @property
    def keeps_original(self) -> bool:
        """Whether the files are the converters' own, of the original network and without spatial tiling."""
        untouched = self.pruning is None and self.sparsity is None and self.output == "probabilities"
        return untouched and not self.rewriting.enabled and self.tiling == TilingOptions()

    def to_json(self) -> str:
        """Compact JSON text, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
