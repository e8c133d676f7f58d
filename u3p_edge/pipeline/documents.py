"""The documents of an export that a stranger trusts it by: the model card and the bill of materials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from u3p_edge.benchmark.intervals import dice_intervals
from u3p_edge.benchmark.suite import Measured
from u3p_edge.config.metadata import Metadata
from u3p_edge.conversion.network_file import read_network
from u3p_edge.data.load import Arrays
from u3p_edge.files.atomic import write_text
from u3p_edge.graph.inference import IMAGE, MASK
from u3p_edge.graph.scheme import Quantized
from u3p_edge.manifest import Manifest
from u3p_edge.models.stored_files import reference_folder
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.publish import MODELS, NETWORK_FILE
from u3p_edge.pipeline.report_names import CARD, SBOM
from u3p_edge.pipeline.source import training_of
from u3p_edge.provenance.model_card import CardFacts, Split, main_file, write_card
from u3p_edge.provenance.sbom import write_sbom
from u3p_edge.provenance.usage import Port

REFERENCE_LICENSE = "apache-2.0"
"""Licence of the embedded reference model, which is part of this package; that of another model is not known here."""


def write_documents(folder: Path, manifest: Manifest, measured: Measured, notes: Sequence[str], context: Context) -> None:
    """Write the model card and the bill of materials of an export.

    Args:
        folder: the files under their final names.
        manifest: of the models.
        measured: their measurements.
        notes: how the files were made, one sentence each.
        context: the original model, the data and the recipe.
    """
    data, metadata = context.data, context.metadata
    main = main_file(measured.result.artifacts)
    int8 = MODELS[main].number == "int8" and not context.recipe.quantization.float_io
    network = read_network((folder / NETWORK_FILE).read_bytes()) if int8 else None
    facts = CardFacts(
        title=context.original.name,
        manifest=manifest,
        metadata=metadata,
        result=measured.result,
        main=main,
        intervals={
            name: dice_intervals(data.test.labels, labels, data.test.groups, metadata.labels, metadata.multi_label)
            for name, labels in measured.predictions.items()
            if name in (main, measured.result.reference)
        },
        splits=_splits(data),
        ports=_ports(metadata, network if isinstance(network, Quantized) else None),
        notes=(*_training(context), *notes),
        license=REFERENCE_LICENSE if context.original.folder == reference_folder() else "",
    )
    write_text(folder / CARD, write_card(facts))
    write_text(folder / SBOM, write_sbom(manifest, context.original.name))


def _training(context: Context) -> tuple[str, ...]:
    """Return in a sentence how the float model was trained, where its run folder says it."""
    recipe = training_of(context.original)
    if recipe is None:
        return ()
    size = f"a UNet 3+ of base width {recipe.base_width} ({recipe.preset})"
    return (f"The float model is {size}, trained for up to {recipe.epochs} epochs with the loss {recipe.loss}.",)


def _splits(data: ExportData) -> tuple[Split, ...]:
    splits: dict[str, Arrays] = {"training": data.train, "validation": data.val}
    if data.test_split == "test":
        splits["test"] = data.test
    return tuple(Split(name, len(set(a.stems)), len(set(a.groups))) for name, a in splits.items())


def _ports(metadata: Metadata, network: Quantized | None) -> tuple[Port, Port]:
    """Return the input and the output: int8 with the quantization of the network in integers, else float32; labels uint8."""
    p, (entries, exits) = metadata.preprocessing, ((), ()) if network is None else (network.graph.inputs, network.graph.outputs)

    def port(name: str, channels: int, ends: tuple[str, ...]) -> Port:
        shape = (1, p.height, p.width, channels)
        if network is None:
            return Port(name, shape, "float32")
        pair = network.scheme.tensors[ends[0]]
        return Port(name, shape, "int8", pair.scale, pair.zero_point)

    image, mask = port(IMAGE, p.channels, entries), port(MASK, metadata.channels_out, exits)
    return image, Port(MASK, mask.shape[:3], "uint8") if metadata.output == "labels" else mask
