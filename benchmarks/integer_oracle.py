"""Compare the integers of post-training quantization with those of TensorFlow's converter for the same fake-quant model.

    python -m benchmarks.integer_oracle embedded runs/acdc=../shared/data/acdc_ed224 --out integers

Every argument is a run folder of `u3p-edge train` and its data folder; "embedded" is the reference model with the embedded
images. result.json lists the nodes and integers that were compared, every difference, and the mean Dice of both networks on
the validation images; report.md has the same as a table.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.lib.commands import make_parser, typed_command
from tests.support.oracles import convert_int8
from tests.support.same_integers import compare_networks
from tests.support.tflite_reader import read_graph
from u3p_edge.benchmark.accuracy import predict_labels, score
from u3p_edge.config.metadata import Metadata
from u3p_edge.conversion.tflite.schema import parse_tflite
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.data.calibration import calibration_indices
from u3p_edge.data.load import Arrays
from u3p_edge.files.atomic import write_json, write_text
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.pipeline.data import data_options, read_export_data
from u3p_edge.pipeline.source import read_source, training_of
from u3p_edge.progress import silent
from u3p_edge.quantization.fake_quant import fake_quantize, read_integers
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.report.markdown import table
from u3p_edge.runtime import open_session


def compare(run: Path | None, data: Path | None) -> dict[str, Any]:
    """Quantize one network after training, both ways, and compare the integers and what the files score."""
    recipe = ExportRecipe()
    source = read_source(run, recipe.model)
    read = read_export_data(data, source.metadata, silent, data_options(recipe.data, training_of(source), data))
    images = read.train.images[list(calibration_indices(read.train, recipe.quantization.calibration_images))]
    fake = fake_quantize(from_keras(source.model), images)
    integers = read_integers(fake)
    converted = convert_int8(fake.model, source.metadata, calibration=None)
    oracle = read_graph(parse_tflite(converted))
    assert isinstance(oracle, Quantized)
    files = {"ours": write_tflite(integers, source.metadata), "converter": converted}
    return {
        "network": source.name,
        "data": read.name,
        **dataclasses.asdict(compare_networks(integers, oracle)),
        "validation_images": len(read.val.images),
        "validation_dice": {name: validation_dice(file, source.metadata, read.val) for name, file in files.items()},
    }


def validation_dice(file: bytes, metadata: Metadata, data: Arrays) -> float | None:
    """Return the mean Dice of a TFLite file on labelled images."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(file)
        labels = predict_labels(open_session(path), data.images, originals=data.originals)
    return score(data.labels, labels, labels, data.groups, metadata.labels).mean_dice


def render(result: Mapping[str, Any]) -> str:
    """Return a table of the compared networks in Markdown, and the command."""
    header = ["data", "nodes", "integers", "nodes that differ", "validation images", "Dice, this package", "Dice, converter"]
    rows = [
        [
            one["data"], str(one["nodes"]), f"{one['integers']:,}", str(len(one["differences"])), str(one["validation_images"]),
            *("-" if dice is None else f"{100 * dice:.3f}" for dice in map(one["validation_dice"].get, ("ours", "converter"))),
        ]
        for one in result["networks"]
    ]  # fmt: skip
    return f"# Integers beside those of TensorFlow's converter\n\n{table(header, rows)}\n\nCommand: `{result['command']}`.\n"


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("networks", nargs="+", help='RUN=DATA, or "embedded"')
    parser.add_argument("--out", type=Path, required=True, help="folder for result.json and report.md")
    options = parser.parse_args()
    pairs = [(None, None) if text == "embedded" else tuple(map(Path, text.split("="))) for text in options.networks]
    result = {"command": typed_command("integer_oracle"), "networks": [compare(*pair) for pair in pairs]}
    write_json(options.out / "result.json", result)
    write_text(options.out / "report.md", render(result))


if __name__ == "__main__":
    main()
