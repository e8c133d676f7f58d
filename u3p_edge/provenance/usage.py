"""How to run a model file, for a model card: with this package, and with the runtime alone."""

from __future__ import annotations

from dataclasses import dataclass

from u3p_edge.config.metadata import Metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.text import to_code

_NORMALIZATIONS = {
    "percentile": "clip to the percentiles {low:g} and {high:g} of the image, then scale these to 0..1",
    "zscore": "subtract the mean of the image, then divide by its standard deviation",
    "range": "divide by the largest value of the integer type, e.g. 255",
    "none": "leave the pixel values as they are",
    "meanstd": "subtract {mean}, then divide by {std}, channel by channel",
}

_FITS = {
    "resize": "then resize to {height}x{width} (bilinear)",
    "pad": "then pad with the minimum to {height}x{width}, or cut a larger image into overlapping tiles",
}


@dataclass(frozen=True)
class Port:
    """Input or output of a model file.

    Args:
        name: in the file's signature.
        shape: [1, H, W, C].
        dtype: "float32" or "int8"; "uint8" of labels.
        scale: of an int8 port: real = (integer - zero_point) * scale. None for the others.
        zero_point: likewise.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    def __str__(self) -> str:
        """Return the port in words."""
        where = f"`{self.name}`: {self.dtype} [{', '.join(map(str, self.shape))}]"
        if self.scale is None:
            return where
        return f"{where}, real = (integer - ({self.zero_point})) * {self.scale!r}"


def describe_usage(file: str, metadata: Metadata, ports: tuple[Port, Port]) -> str:
    """Return how to run a file, as Markdown.

    Args:
        file: name of the model file.
        metadata: of the file.
        ports: its input and output.
    """
    single = f"session = u3p.open_session({file!r})\nmask = session.predict('scan.png')"
    whole = f"u3p.predict({file!r}, ['scan.nii.gz'], 'masks')"
    code = f"import u3p_edge as u3p\n\n{single if metadata.preprocessing.slices == 1 else whole}"
    lines = [
        f"```python\n{code}\n```",
        f"Without this package, in LiteRT or ONNX Runtime, {to_code(file)} has:",
        f"- input {ports[0]}: {describe_preprocessing(metadata.preprocessing)}",
        f"- output {ports[1]}: {describe_output(metadata)}",
    ]
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])


def describe_preprocessing(p: Preprocessing) -> str:
    """Return in words what turns pixels into the network's input.

    >>> describe_preprocessing(Preprocessing(64, 96, normalization="range"))
    'divide by the largest value of the integer type, e.g. 255, then resize to 64x96 (bilinear)'
    """
    normalization = _NORMALIZATIONS[p.normalization].format(low=p.low, high=p.high, mean=list(p.mean), std=list(p.std))
    stacked = f"take {p.slices} neighbouring slices of a volume as channels of one image, " if p.slices > 1 else ""
    return f"{stacked}{normalization}, {_FITS[p.fit].format(height=p.height, width=p.width)}"


def describe_output(metadata: Metadata) -> str:
    """Return in words what a file gives for each pixel.

    >>> from u3p_edge.config.metadata import default_metadata
    >>> describe_output(default_metadata(Preprocessing(64, 96), labels=3))
    "the probabilities of the 3 classes; the label is the largest one's index"
    """
    if metadata.output == "labels":
        return f"the label, 0 to {metadata.labels - 1}"
    logits = metadata.output == "logits"
    what, least = ("the logit", "0") if logits else ("the probability", "0.5")
    if metadata.multi_label:
        return f"{what} of each class but the background; a pixel is of every class for which it is {least} or more"
    if metadata.channels_out == 1:
        return f"{what} of the second class; the label is 1 where it is {least} or more"
    return f"the {metadata.output} of the {metadata.channels_out} classes; the label is the largest one's index"
