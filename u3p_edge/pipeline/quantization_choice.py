"""Which int8 network was kept, and why: the values of quantization.json and the sentences of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from u3p_edge.benchmark.loss_check import LossCheck, lost_or_gained
from u3p_edge.config.plain import from_dict


@dataclass(frozen=True)
class QuantizationChoice:
    """The int8 network that was kept.

    Args:
        method: "ptq" or "qat".
        float_dice, ptq_dice, qat_dice: mean foreground Dice on the validation split, 0..1; None where not tried.
        calibration_images: number of images that post-training quantization measured ranges on.
        pruned_dice: of the float network that was quantized, where that is not the original model.
        qat_refused: why quantization-aware training cannot train this network, None where it can or was not asked.
        ranges: how post-training quantization chose the ranges of the feature maps; empty where that is not known.
        range_errors: by method, the mean squared difference of the probabilities from the float model's on a calibration
            image, median over images; the method with the smallest is `ranges`.
        loss_check: whether the kept network is shown to lose at most what it may; None in files of older versions.
    """

    method: str
    float_dice: float
    ptq_dice: float
    qat_dice: float | None
    calibration_images: int
    qat_refused: str | None = None
    pruned_dice: float | None = None
    ranges: str = ""
    range_errors: Mapping[str, float] = field(default_factory=dict)
    loss_check: LossCheck | None = None

    @property
    def quantized_dice(self) -> float:
        """Dice of the float network that was quantized."""
        return self.float_dice if self.pruned_dice is None else self.pruned_dice

    @property
    def drop(self) -> float:
        """Points of Dice that the kept network loses on the validation split; negative where it gains."""
        kept = self.ptq_dice if self.qat_dice is None or self.method == "ptq" else self.qat_dice
        return 100 * (self.float_dice - kept)

    @property
    def notes(self) -> tuple[str, ...]:
        """The choice in sentences, for a report."""
        lost = lost_or_gained(100 * (self.quantized_dice - self.ptq_dice))
        tried = f"post-training quantization on {self.calibration_images} training images {lost}"
        if self.qat_dice is not None:
            tried += f", quantization-aware training {lost_or_gained(100 * (self.quantized_dice - self.qat_dice))}"
        kept = {"ptq": "post-training quantization", "qat": "quantization-aware training"}[self.method]
        pruned = "" if self.pruned_dice is None else f", pruned {100 * self.pruned_dice:.2f}"
        sentence = f"Validation Dice (float {100 * self.float_dice:.2f}{pruned}): {tried}; kept: {kept}."
        if self.method == "qat" and self.drop < 0:
            sentence += " What it gains over the float model it gains by training on, not by its integers."
        refused = (f"Quantization-aware training was not possible: {self.qat_refused}.",) if self.qat_refused else ()
        return (sentence, *self._range_notes, *refused)

    @property
    def _range_notes(self) -> tuple[str, ...]:
        if not self.ranges:
            return ()
        errors = ", ".join(f"{error:.2e} with {method}" for method, error in self.range_errors.items())
        measured = f" (mean squared difference of the probabilities from float, median over images: {errors})" if errors else ""
        return (f"Int8 ranges of the maps: {self.ranges}{measured}.",)


def parse_choice(values: Mapping[str, Any]) -> QuantizationChoice:
    """Return the choice from the values of its JSON form, of this version or an older one.

    Raises:
        ConfigError: the check of the loss has another form.
    """
    check = values.get("loss_check")
    return QuantizationChoice(**{**values, "loss_check": None if check is None else from_dict(LossCheck, check)})
