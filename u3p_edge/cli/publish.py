"""`u3p-edge publish`: an export as a folder for the Hugging Face Hub, and as a MONAI bundle. Sends nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from u3p_edge.cli.effect import refuse
from u3p_edge.cli.terminal import say
from u3p_edge.errors import ConfigError


def publish(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="Run folder of `u3p-edge export`.")],
    hf: Annotated[Path | None, typer.Option(help="Folder to write for the Hugging Face Hub.")] = None,
    monai: Annotated[Path | None, typer.Option(help="Folder to write as a MONAI bundle.")] = None,
    license: Annotated[str, typer.Option(help="Licence of the model as the Hub writes it, e.g. apache-2.0.")] = "",
    authors: Annotated[str, typer.Option(help="With --monai: authors of the model.")] = "",
    reports: Annotated[
        bool, typer.Option("--reports", help="With --hf: copy the reports, too; they name patients and show images.")
    ] = False,
) -> None:
    """Write an export in the folder forms of other people's tools. Nothing is sent; upload the folder yourself.

    --hf: README.md is the model card with its front matter, beside the model files and the bill of materials. Reports are left
    out: they name groups of the data and show images. With --reports they are there, and `u3p-edge verify` passes there.

    --monai: configs/metadata.json, configs/inference.json, and models/model.onnx, the int8 file if there is one. This package
    prepares images and runs the file, so the bundle needs it installed.

        u3p-edge publish exported --hf hub --license apache-2.0

        u3p-edge publish exported --monai bundle
    """
    from u3p_edge.pipeline.model_folders import write_hub_folder, write_monai_bundle

    if hf is None and monai is None:
        raise ConfigError("there is no folder to write", mend="Give --hf FOLDER or --monai FOLDER.")
    if monai is None:
        refuse(context, ("authors",), "is for a MONAI bundle, and none is written", "Add --monai FOLDER.")
    if hf is None:
        refuse(context, ("reports",), "is for a folder of the Hub, and none is written", "Add --hf FOLDER.")
    if hf is not None:
        names = write_hub_folder(run, hf, license=license, reports=reports)
        say(f"{hf}: {len(names)} files for the Hugging Face Hub.")
    if monai is not None:
        names = write_monai_bundle(run, monai, license=license, authors=authors)
        say(f"{monai}: {len(names)} files of a MONAI bundle.")
