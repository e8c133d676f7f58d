from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tests.support.recipes import make_recipe
from u3p_edge.errors import ConfigError
from u3p_edge.recipes.recipe import ExportRecipe


def test_the_text_holds_every_option_in_one_order() -> None:
    text = ExportRecipe(formats=("onnx",), max_drop=0.25).to_json()
    value = json.loads(text)
    assert list(value) == sorted(field.name for field in dataclasses.fields(ExportRecipe))
    assert (value["formats"], value["max_drop"], value["quantization"]["method"]) == (["onnx"], 0.25, "auto")
    assert text != ExportRecipe(formats=("onnx",)).to_json()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"formats": ()}, "no format"),
        ({"formats": ("pdf",)}, "'pdf'"),
        ({"qat_epochs": -1}, "qat_epochs"),
        ({"calibration_images": 0}, "calibration_images"),
        ({"rounds": 4}, "rounds"),
        ({"seed": -1}, "seed"),
        ({"max_drop": -0.1}, "max_drop"),
    ],
)
def test_what_cannot_be_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make_recipe(**options)
