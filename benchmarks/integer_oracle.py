"""Compare the integers of post-training quantization with those of TensorFlow's converter for the same fake-quant model.

    python -m benchmarks.integer_oracle embedded runs/acdc=../shared/data/acdc_ed224 --out integers.json

Every argument is a run folder of `u3p-edge train` and its data folder; "embedded" is the reference model with the embedded
images. The result lists the nodes and integers that were compared, and every difference.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from benchmarks.lib.commands import make_parser, typed_command
from tests.support.oracles import convert_int8
from tests.support.same_integers import compare_networks
from tests.support.tflite_reader import read_graph
from u3p_edge.conversion.tflite.schema import parse_tflite
from u3p_edge.data.calibration import calibration_indices
from u3p_edge.files.atomic import write_json
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.pipeline.data import data_options, read_export_data
from u3p_edge.pipeline.source import read_source, training_of
from u3p_edge.progress import silent
from u3p_edge.quantization.fake_quant import fake_quantize, read_integers
from u3p_edge.recipes.recipe import ExportRecipe


def compare(run: Path | None, data: Path | None) -> dict[str, Any]:
    """Quantize one network after training, both ways, and compare the integers."""
    recipe = ExportRecipe()
    source = read_source(run, recipe.model)
    train = read_export_data(data, source.metadata, silent, data_options(recipe.data, training_of(source), data)).train
    images = train.images[list(calibration_indices(train, recipe.quantization.calibration_images))]
    fake = fake_quantize(from_keras(source.model), images)
    oracle = read_graph(parse_tflite(convert_int8(fake.model, source.metadata, calibration=None)))
    assert isinstance(oracle, Quantized)
    same = compare_networks(read_integers(fake), oracle)
    return {"network": source.name, "data": "embedded" if data is None else data.name, **dataclasses.asdict(same)}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("networks", nargs="+", help='RUN=DATA, or "embedded"')
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    options = parser.parse_args()
    pairs = [(None, None) if text == "embedded" else tuple(map(Path, text.split("="))) for text in options.networks]
    write_json(options.out, {"command": typed_command("integer_oracle"), "networks": [compare(*pair) for pair in pairs]})


if __name__ == "__main__":
    main()
