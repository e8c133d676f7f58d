"""Weights that another program trained, as a run folder: what `export`, `rewrite` and `inspect` take."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from u3p_edge import __version__
from u3p_edge.config.metadata import Metadata, metadata_of_mask
from u3p_edge.errors import ArtifactError, ConfigError, about, require_packages
from u3p_edge.importing.pytorch.checkpoint import read_checkpoint
from u3p_edge.manifest import Manifest, Origin, describe, sha256_of, write_manifest
from u3p_edge.models.official_names import read_official
from u3p_edge.models.stored_files import DESCRIPTION, WEIGHTS
from u3p_edge.pipeline.source import CHECKPOINT
from u3p_edge.recipes.recipe import ModelOptions
from u3p_edge.run_folder import check_ours, hold, open_manifest
from u3p_edge.training.output import BOARD, FILES, FORMATS, RECIPE

if TYPE_CHECKING:
    from u3p_edge.models.config import UNet3PlusConfig


@dataclass(frozen=True)
class ImportedModel:
    """A run folder that was made from weights.

    Args:
        run: the folder.
        config: of the network.
        metadata: what its artifacts will carry.
        parameters: number of weights, running statistics included.
    """

    run: Path
    config: UNet3PlusConfig
    metadata: Metadata
    parameters: int


@require_packages("u3p_edge.import_checkpoint")
def import_checkpoint(checkpoint: str | Path, out: str | Path, options: ModelOptions) -> ImportedModel:
    """Read a PyTorch checkpoint of the official UNet 3+ and write it as a run folder.

    UNet_3Plus, UNet_3Plus_DeepSup and UNet_3Plus_DeepSup_CGM of the authors' code are read, of any width and number of
    classes. No PyTorch is needed, and nothing that the file names is run.

    Args:
        checkpoint: a `.pth`, `.pt` or `.safetensors` file of a state dict, perhaps within other things.
        out: folder to write; one of an earlier import is replaced.
        options: what weights do not say: `size` is needed, `normalization` must be that of the training.

    Raises:
        ModelError: the file is damaged, names what is not data, or holds other weights; the message names the first.
        ConfigError: no size, or one that a UNet 3+ does not take; class names that do not fit the mask.
        ArtifactError: `out` cannot be written, holds a training, or files of other origin.
    """
    path, run = Path(checkpoint), Path(out)
    if len(options.size) != 2:
        raise ConfigError("weights do not say the size of their images", mend="Give it, for example --size 320x320.")
    height, width = options.size
    tensors = read_checkpoint(path)
    with about(path):
        config, weights = read_official(tensors, (height, width))
    config = dataclasses.replace(config, multi_label=options.multi_label and config.classes > 1)
    metadata = _metadata(config, options, sha256_of(path))
    with hold(run):
        manifest = _open(run)
        write_manifest(run, manifest.with_claims((WEIGHTS, DESCRIPTION)))
        _write(run, config, weights, metadata, path)
        listed = manifest.without((WEIGHTS, DESCRIPTION))
        for name in (WEIGHTS, DESCRIPTION):
            listed = listed.with_artifact(describe(run / name, FORMATS[name], parent=metadata.lineage[0][1]))
        write_manifest(run, dataclasses.replace(listed, origins=(Origin("checkpoint", metadata.lineage[0][1], path.name),)))
    return ImportedModel(run, config, metadata, sum(array.size for array in weights.values()))


def _metadata(config: UNet3PlusConfig, options: ModelOptions, sha256: str) -> Metadata:
    preprocessing = options.preprocessing(*config.input_shape)
    metadata = metadata_of_mask(preprocessing, config.classes, config.multi_label, options.class_names)
    return dataclasses.replace(metadata, version=__version__, lineage=((CHECKPOINT, sha256),), axis=options.axis)


def _open(run: Path) -> Manifest:
    manifest = open_manifest(run, (WEIGHTS, DESCRIPTION))
    check_ours(run, manifest, FILES, (BOARD,))
    if (run / RECIPE).exists():
        raise ArtifactError(f"{run} holds a training, which would be lost", mend="Give another --out folder.")
    return manifest


def _write(run: Path, config: UNet3PlusConfig, weights: dict[str, npt.NDArray[Any]], metadata: Metadata, path: Path) -> None:
    from u3p_edge.models.store import fill_model, save_model
    from u3p_edge.models.unet3plus import build

    model = build(config)
    fill_model(model, weights, path)
    save_model(run, model, config, metadata)
