"""Train the reference model of the package through `u3p-edge train`, and pack it into a folder.

    python -m benchmarks.train_reference --run runs/reference
    python -m benchmarks.promote reference runs/reference/packed

The first trains on the embedded images with benchmarks/reference_recipe.toml (an interrupted run continues where it stopped)
and writes model.safetensors (convolution kernels as float16), model.json, recipe.toml and scores.json. The scores are those of
the packed weights, read back from where they were written. The second copies them into the package.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.lib.commands import make_parser
from benchmarks.lib.environment import BENCHMARKS
from u3p_edge.cli.train import train
from u3p_edge.data.embedded import embedded_folder
from u3p_edge.data.folder import read_folder
from u3p_edge.files.atomic import make_folder, write_json
from u3p_edge.training.checkpoint import load_checkpoint
from u3p_edge.training.loop import score_model
from u3p_edge.training.output import RECIPE, SCORES
from u3p_edge.training.prepare import load_data
from u3p_edge.training.recipe import read_train_recipe


def pack(run: Path, packaged: Path) -> None:
    """Store a finished run's best model at half size, with its recipe and the scores of the packed weights."""
    from u3p_edge.models.store import load_model, save_model
    from u3p_edge.training.trainer import Trainer

    model, config, metadata = load_model(run)
    save_model(packaged, model, config, metadata, half=True)
    shutil.copyfile(run / RECIPE, packaged / RECIPE)
    recipe = read_train_recipe(packaged / RECIPE)
    trainer = Trainer(recipe)
    trainer.model.set_weights(load_model(packaged)[0].get_weights())
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None, "`train` has just written it"
    write_json(packaged / SCORES, score_model(trainer, checkpoint.state, load_data(recipe, read_folder(embedded_folder()))))


def main() -> None:
    """Train and pack."""
    parser = make_parser(__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/reference"), help="run folder (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="fewer, to try this script; not for the model that is committed")
    given = parser.parse_args()
    train(embedded_folder(), given.run, BENCHMARKS / "reference_recipe.toml", epochs=given.epochs)
    packed = given.run / "packed"
    make_folder(packed)
    pack(given.run, packed)
    print(f"packed into {packed}")


if __name__ == "__main__":
    main()
