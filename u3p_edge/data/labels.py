"""What the values and colours of mask files mean: which classes they are, and which are ignored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from u3p_edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

HIGHEST_VALUE = 65535
"""Highest value in a mask file, of 16 bits."""

HIGHEST_CLASS = 254
"""Highest class: labels are kept in 8 bits, where 255 marks ignored pixels."""


def is_colour(text: str) -> bool:
    """Return whether a text is a colour as #rrggbb, in lower case."""
    return re.fullmatch("#[0-9a-f]{6}", text) is not None


def check_colours(colours: Sequence[tuple[str, int]], ignore: int | None) -> None:
    """Raise ConfigError for a colour that is not written as #rrggbb or named twice, or a value that is no class.

    Args:
        colours: (colour, value) pairs.
        ignore: a value that is allowed as well.
    """
    names = [colour for colour, _ in colours]
    for colour, value in colours:
        if not is_colour(colour):
            raise ConfigError(
                f"{colour!r} is not a colour of --mask-colours", mend="Write it as #rrggbb, e.g. #ff0000 for red."
            )
        if names.count(colour) > 1:
            raise ConfigError(f"the mask colour {colour} has two meanings", mend="Name each colour once in --mask-colours.")
        if not 0 <= value <= HIGHEST_CLASS and value != ignore:
            raise ConfigError(
                f"the mask colour {colour} cannot be class {value}",
                mend=f"Classes are 0 to {HIGHEST_CLASS}; a colour that is ignored has the value of --ignore-label.",
            )


@dataclass(frozen=True)
class LabelRule:
    """The rule that turns values of mask files into classes. Values that are not named are not changed.

    Args:
        ignore: the value of pixels that count neither in training nor in scores; None for none.
        mapping: (value, class) pairs, e.g. ((1, 0), (2, 1)).
        colours: (colour, value) pairs, e.g. (("#000000", 0), ("#ff0000", 1)): masks are colour pictures, and these are the
            values of their pixels, to which `mapping` and `ignore` then apply. Empty for masks that hold values.
        multi_label: values are sets of classes that may overlap (`u3p_edge.label_values`), and no mapping can name them.

    Raises:
        ConfigError: a value, colour or class that is not allowed, or one that is named twice.
    """

    ignore: int | None = None
    mapping: tuple[tuple[int, int], ...] = ()
    colours: tuple[tuple[str, int], ...] = ()
    multi_label: bool = False

    def __post_init__(self) -> None:
        if self.multi_label and (self.mapping or self.colours):
            raise ConfigError(
                "--map and --mask-colours are for masks of one class a pixel, and the classes of these masks may overlap",
                mend="Leave them out, or import the masks again.",
            )
        check_colours(self.colours, self.ignore)
        values = [value for value, _ in self.mapping] + ([] if self.ignore is None else [self.ignore])
        for value in values:
            if not 0 <= value <= HIGHEST_VALUE:
                raise ConfigError(f"a mask cannot hold the value {value}", mend=f"Values are 0 to {HIGHEST_VALUE}.")
            if values.count(value) > 1:
                raise ConfigError(
                    f"the mask value {value} has two meanings", mend="Name each value once in --map or --ignore-label."
                )
        for value, label in self.mapping:
            if not 0 <= label <= HIGHEST_CLASS:
                raise ConfigError(f"the mask value {value} cannot be class {label}", mend=f"Classes are 0 to {HIGHEST_CLASS}.")

    def ignored(self, values: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Return which values are ignored: bool of the shape of `values`."""
        # Loaded here, since recipes hold rules and the program reads recipes before it knows its command.
        import numpy as np

        return np.zeros(values.shape, bool) if self.ignore is None else np.asarray(values == self.ignore)

    def renamed(self, values: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Return which values the mapping names: bool of the shape of `values`."""
        import numpy as np

        return np.isin(values, [value for value, _ in self.mapping])

    def apply(self, values: npt.NDArray[np.integer]) -> npt.NDArray[np.uint16]:
        """Return values (uint8 or uint16) with the mapping applied: uint16 of the same shape.

        >>> import numpy as np
        >>> LabelRule(mapping=((128, 1), (255, 2))).apply(np.array([0, 128, 255], np.uint8))
        array([0, 1, 2], dtype=uint16)
        """
        import numpy as np

        if not self.mapping:
            return values.astype(np.uint16)
        table = np.arange(HIGHEST_VALUE + 1, dtype=np.uint16)
        for value, label in self.mapping:
            table[value] = label
        return np.asarray(table[values])

    @property
    def coloured_classes(self) -> int | None:
        """Number of classes, background included, that `colours` names; None without colours."""
        values = [value for _, value in self.colours if value != self.ignore]
        return max([1, *(dict(self.mapping).get(value, value) for value in values)]) + 1 if self.colours else None


AS_STORED = LabelRule()
"""The rule that changes nothing: values are classes."""


def parse_mapping(text: str) -> tuple[tuple[int, int], ...]:
    """Parse (value, class) pairs and sort them by value. Raises ConfigError.

    >>> parse_mapping("2:1, 1:0")
    ((1, 0), (2, 1))
    """
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        value, colon, label = (piece.strip() for piece in part.partition(":"))
        if not (colon and is_number(value) and is_number(label)):
            raise ConfigError(f"--map: {part!r} is not VALUE:CLASS", mend="Give for example --map 1:0,2:1.")
        pairs.append((int(value), int(label)))
    return tuple(sorted(pairs))


def is_number(text: str) -> bool:
    """Return whether a text is a whole number in decimal, of no more digits than the value of a mask file has."""
    return text.isascii() and text.isdigit() and len(text) <= len(str(HIGHEST_VALUE))
