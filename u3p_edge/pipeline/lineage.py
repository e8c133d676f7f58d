"""What each file of an export was made from, as its manifest has it.

float model ─► reference.float32.tflite
            └► float network ─┬─► model.float32.*, model.float16.tflite
    training, validation data ┴─► network.int8.safetensors ─► model.int8.*
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from u3p_edge.conversion.network_file import NETWORK, write_network
from u3p_edge.manifest import Manifest, Origin, describe
from u3p_edge.pipeline.make_files import MadeFiles
from u3p_edge.pipeline.publish import MODELS, NETWORK_FILE, REFERENCE_FILE
from u3p_edge.recipes.recipe import ExportRecipe

FLOAT_NETWORK = "float network"
"""Kind of the origin between the float model and the files: the network after pruning and rewriting, kept in no file."""

SHAPING = ("training data", "validation data")
"""Kinds of the data that decide what is in the files; the test data only measure them."""


def make_manifest(folder: Path, made: MadeFiles, key: str, recipe: ExportRecipe, origins: Sequence[Origin]) -> Manifest:
    """Return the manifest of the models in a folder.

    Args:
        folder: the files under their final names.
        made: how they were made.
        key: of the export; empty where it is not finished.
        recipe: the options.
        origins: the float model, then the data.
    """
    original, *data = origins
    shaped_by = tuple(one.sha256 for one in data if one.kind in SHAPING)
    changed = () if recipe.keeps_original else (_float_network(made, original, shaped_by),)
    source, integers = changed[0] if changed else original, folder / NETWORK_FILE
    network = describe(integers, NETWORK, source.sha256, shaped_by) if integers.exists() else None
    manifest = Manifest(
        recipe=recipe.to_json(),
        key=key,
        rewrites=tuple((choice.site, choice.chosen) for choice in made.network.choices),
        origins=(*origins, *changed),
    )
    for name, kind in MODELS.items():
        if (folder / name).exists():
            parent = original if name == REFERENCE_FILE else network if network and kind.number == "int8" else source
            manifest = manifest.with_artifact(describe(folder / name, str(kind), parent.sha256))
    return manifest.with_artifact(network) if network else manifest


def _float_network(made: MadeFiles, original: Origin, data: tuple[str, ...]) -> Origin:
    digest = hashlib.sha256(write_network(made.network.graph)).hexdigest()
    return Origin(FLOAT_NETWORK, digest, parent=original.sha256, uses=data)
