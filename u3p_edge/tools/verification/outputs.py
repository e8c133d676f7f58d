"""Do the model files still compute what they should? Each is run again, in its own runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from u3p_edge.errors import U3pEdgeError
from u3p_edge.manifest import sha256_of
from u3p_edge.models.stored_files import WEIGHTS, reference_folder
from u3p_edge.pipeline.publish import MODELS, REFERENCE_FILE
from u3p_edge.pipeline.verify import Outputs, choose_images, find_number_faults, find_structure_faults, run_images
from u3p_edge.progress import Progress
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.tools.verification.check import RunCheck, conclude, leave_out
from u3p_edge.tools.verification.images import VerificationImages
from u3p_edge.tools.verification.opened import Opened

FLOATS = ("model.float32.tflite", "model.float32.onnx")
"""The float network of a run, in order of preference."""


def check_outputs(opened: Opened, images: VerificationImages | None, recipe: ExportRecipe, progress: Progress) -> RunCheck:
    """Check structure and numbers of the files as an export does before it publishes them.

    They are compared with the float32 file of the run. On made-up images int8 files are compared with each other alone, since
    how far they are from float there says nothing.

    Args:
        opened: the files; those that could not be loaded are faults.
        images: to run them on; None where no file could be loaded.
        recipe: of the export.
        progress: shows the stage.
    """
    anchor = next((one for one in FLOATS if one in opened.sessions), None)
    if anchor is None or images is None:
        return conclude("outputs", opened.faults, "") if opened.faults else leave_out("outputs", "; ".join(opened.left_out))
    chosen = choose_images(images.images)
    names = [one for one in opened.sessions if one != REFERENCE_FILE]
    step, min_sqnr = progress("Verify", len(names)), recipe.quantization.min_sqnr if images.real else -np.inf
    expected, maps = run_images(opened.sessions[anchor], chosen), dict[str, Outputs]()
    faults, left_out = list(opened.faults), list(opened.left_out)
    for one in names:
        try:
            maps[one] = run_images(opened.sessions[one], chosen)
            faults += [f"{one}: {fault}" for fault in find_number_faults(one, maps, expected, min_sqnr)]
            structure = find_structure_faults(MODELS[one], opened.run / one, recipe.quantization.float_io)
            faults += [f"{one}: {fault}" for fault in structure]
        except U3pEdgeError as error:
            faults.append(f"{one}: {error.symptom}")
        except ModuleNotFoundError as error:
            left_out.append(f"the structure of {one}, since {error.name} is not installed")
        step()
    seen = f"{len(maps)} files agree on {len(chosen)} {'real' if images.real else 'made-up'} images"
    return conclude("outputs", faults, f"{seen}; left out: {'; '.join(left_out)}" if left_out else seen)


def check_float_model(
    opened: Opened, images: VerificationImages, model: Path | None, digest: str, recipe: ExportRecipe, *, trust: bool
) -> RunCheck:
    """Check the file of the original network against the float model itself, which needs TensorFlow.

    Args:
        opened: the files.
        images: to compare on.
        model: a run folder of a training, a `.keras`, `.h5` or `.onnx` file; None for the embedded reference model.
        digest: sha256 of the float model that the manifest leads to.
        recipe: of the export.
        trust: run code that a Keras file holds.

    Raises:
        ModelError: the model that was given cannot be read.
    """
    name, original = "float model", FLOATS[0] if recipe.keeps_original else REFERENCE_FILE
    if original not in opened.sessions:
        return leave_out(name, f"{original}, the file of the original network, cannot be run here")
    if model is None and sha256_of(reference_folder() / WEIGHTS) != digest:
        return leave_out(name, "it was not given (--model), so no file is compared with it")
    try:
        from u3p_edge.pipeline.source import read_source
        from u3p_edge.runtime.keras import keras_session
    except ImportError as error:
        return leave_out(name, f"{error.name} is not installed, so no file is compared with it")
    source = read_source(model, recipe.model, trust=trust)
    if source.sha256 != digest:
        return conclude(name, [f"{source.name} is not the float model that the manifest leads to: it has another sha256"], "")
    chosen = choose_images(images.images)
    expected = run_images(keras_session(source.model, source.metadata), chosen)
    maps = {original: run_images(opened.sessions[original], chosen)}
    faults = [f"{original}: {fault}" for fault in find_number_faults(original, maps, expected, 0)]
    return conclude(name, faults, f"{original} computes what the float model computes")
