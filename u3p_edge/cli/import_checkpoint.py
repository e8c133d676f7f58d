"""`u3p-edge import`: weights of the official PyTorch UNet 3+ as a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from u3p_edge.cli.recipe_options import parse_options, takes_options
from u3p_edge.cli.terminal import say
from u3p_edge.recipes.build import OPTIONS

MODEL_OPTIONS = {key: entry for key, entry in OPTIONS.items() if entry.group == "model" and key != "mask"}


@takes_options(MODEL_OPTIONS)
def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth, .pt or .safetensors file of the authors' UNet 3+.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to write.")],
    **options: Any,
) -> None:
    """Read a PyTorch checkpoint of the official UNet 3+, without PyTorch, and write it as a run folder.

    UNet_3Plus, UNet_3Plus_DeepSup and UNet_3Plus_DeepSup_CGM of the authors' code, of any width. Other networks of PyTorch come
    in as ONNX files. The file is read as data: what it names beside numbers is refused, and nothing is run.

        u3p-edge import unet3plus.pth --out run --size 320x320 --normalize zscore

        u3p-edge export run --int8 --data scans --recipe exact
    """
    from u3p_edge.cli.progress import stages
    from u3p_edge.recipes.recipe import ModelOptions

    chosen = ModelOptions(**parse_options(MODEL_OPTIONS, options))
    with stages() as progress:
        progress("Load TensorFlow", 0)
        from u3p_edge.pipeline.import_checkpoint import import_checkpoint as read

        done = read(checkpoint, out, chosen)
    config = done.config
    parts = {"deep supervision": config.deep_supervision, "a classification gate": config.cgm}
    channels = f"{config.classes} mask channel{'s' if config.classes > 1 else ''}"
    known = ", ".join((f"width {config.base_width}", channels, *(name for name, there in parts.items() if there)))
    say(f"UNet 3+ with {known}: {done.parameters:,} numbers")
    say(f"The model lies in {done.run}. Next: u3p-edge export {done.run} --int8 --data FOLDER --recipe exact")
