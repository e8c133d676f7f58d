"""Train the reference model that travels in the package, through `u3p-edge train`, and pack it.

    python benchmarks/train_reference.py --run runs/reference

trains on the embedded images with benchmarks/reference_recipe.toml (interrupted, it goes on where it was) and writes
model.safetensors (convolution kernels as float16), model.json, recipe.toml and scores.json into u3p_edge/models/reference.
The scores are those of the packed weights, read back from where they were written.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from u3p_edge.artifact import write_json
from u3p_edge.cli.train import train
from u3p_edge.data.embedded import embedded_folder
from u3p_edge.data.folder import read_folder
from u3p_edge.training.checkpoint import load_checkpoint
from u3p_edge.training.logs import SCORES
from u3p_edge.training.loop import RECIPE, score_model
from u3p_edge.training.prepare import load_data
from u3p_edge.training.recipe import read_train_recipe

HERE = Path(__file__).resolve().parent
PACKAGED = HERE.parent / "u3p_edge" / "models" / "reference"


def pack(run: Path, packaged: Path) -> None:
    """Store a finished run's best model at half size, with its recipe and its own scores."""
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/reference"), help="run folder (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=PACKAGED, help="where to pack the model (default: the package)")
    parser.add_argument("--epochs", type=int, help="fewer, to try this script; not for the model that is committed")
    given = parser.parse_args()
    train(embedded_folder(), given.run, HERE / "reference_recipe.toml", epochs=given.epochs)
    pack(given.run, given.out)
    print(f"packed into {given.out}")


if __name__ == "__main__":
    main()
