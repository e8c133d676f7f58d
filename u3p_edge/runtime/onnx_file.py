"""What every runtime for ONNX files reads of an exported file: its metadata, and the scales of its int8 ports."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.config.metadata import METADATA_KEY, QUANTIZATION_KEY, Metadata
from u3p_edge.errors import ModelError
from u3p_edge.files import onnx_check
from u3p_edge.files.json_toml import MAX_METADATA, parse_json
from u3p_edge.runtime.base import LABEL_TYPE, PortQuantization, Shape, check_ports, parse_metadata, unusable_error

PortType = tuple[tuple[int, ...], str]
"""The shape of a port, and NumPy's name of its element type, or the runtime's name for a type that no exported file has."""


@dataclass(frozen=True)
class ONNXFile:
    """The description of an exported ONNX file.

    Args:
        number: number type of its arithmetic, "int8" or "float32".
        metadata: the metadata stored in it.
        input_shape: (H, W, C) of the input image.
        image, mask: scale and zero point of the two ports; None for a float32 one.
    """

    number: str
    metadata: Metadata
    input_shape: Shape
    image: PortQuantization | None
    mask: PortQuantization | None


def check_onnx(path: Path, max_memory_mb: float) -> None:
    """Raise ModelError for an ONNX file that must not be given to a runtime, see `u3p_edge.files.onnx_check`."""
    with path.open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        onnx_check.check_onnx_content(memoryview(view), max_memory_mb)
    except ModelError as error:
        raise unusable_error(path, error) from error


def describe_onnx(path: Path, properties: Mapping[str, str], image: PortType, mask: PortType) -> ONNXFile:
    """Return the description of a file from its metadata properties and the types of its ports.

    Raises:
        ModelError: the properties are damaged or not those of u3p_edge, or the ports do not fit them.
    """
    metadata = parse_metadata(properties.get(METADATA_KEY), path)
    shape = check_ports(path, metadata, image[0], *mask)
    scales = _scales(properties.get(QUANTIZATION_KEY), path)
    # An operator's name is plain text in the file, and not every runtime lists the operators.
    number = "int8" if _contains(path, b"QuantizeLinear") else "float32"
    ports = (_port(name, kind, scales, path) for name, (_, kind) in (("image", image), ("mask", mask)))
    return ONNXFile(number, metadata, shape, *ports)


def _scales(text: str | None, path: Path) -> dict[str, PortQuantization]:
    """Parse scale and zero point of int8 ports by name, from the text of the `QUANTIZATION_KEY` property."""
    try:
        table = parse_json(text or "{}", MAX_METADATA)
        return {name: PortQuantization(float(scale), int(zero)) for name, (scale, zero) in table.items()}
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ModelError(f"the {QUANTIZATION_KEY} property of {path} is damaged", mend="Export the model again.") from error


def _port(name: str, kind: str, scales: Mapping[str, PortQuantization], path: Path) -> PortQuantization | None:
    if kind == "float32" or (name, kind) == ("mask", LABEL_TYPE):
        return None
    if kind == "int8" and name in scales:
        return scales[name]
    raise ModelError(
        f"`{name}` of {path} is {kind} without a scale from u3p_edge, not float32 or int8", mend="Export the model again."
    )


def _contains(path: Path, needle: bytes) -> bool:
    """Return whether the bytes of a file contain `needle`; the file is memory-mapped, so it is never read as a whole."""
    with path.open("rb") as file, closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as view:
        return view.find(needle) >= 0
