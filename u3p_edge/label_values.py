"""What the values of labels mean: the class of each pixel or, where classes may overlap, the set of its classes.

    one class a pixel    the index of the class; 0 is the background
    multi-label          a bit for each class: 1 is class 1, 2 is class 2, 3 both, 4 is class 3; 0 is the background, no class

Both are uint8 [H, W], so masks are read, resized, cut, kept and written in the same way. What a value means is asked here.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

MOST_CLASSES = 7
"""Most classes, without the background, of a multi-label mask: the value with all eight bits, 255, marks ignored pixels."""


def count_values(labels: int, multi_label: bool = False) -> int:
    """Return how many values the pixels of a mask can have: 0 to this number less 1.

    Args:
        labels: number of classes, background included.
        multi_label: classes may overlap.

    >>> count_values(4), count_values(4, multi_label=True)
    (4, 8)
    """
    return 1 << labels - 1 if multi_label else labels


def value_of(label: int, multi_label: bool = False) -> int:
    """Return the value of a pixel that is of one class alone; arguments as of `has_class`."""
    return 1 << label - 1 if multi_label and label else label


def classes_of(value: int, multi_label: bool = False) -> tuple[int, ...]:
    """Return the classes of a pixel of some value; arguments as of `has_class`.

    >>> classes_of(3), classes_of(3, multi_label=True), classes_of(0, multi_label=True)
    ((3,), (1, 2), (0,))
    """
    if not (multi_label and value):
        return (value,)
    return tuple(bit + 1 for bit in range(value.bit_length()) if value >> bit & 1)


def has_class(values: npt.NDArray[Any], label: int, multi_label: bool = False) -> npt.NDArray[np.bool_]:
    """Return which pixels are of a class; for the background, those of no class.

    Args:
        values: labels of any shape, none of them `metrics.IGNORE`.
        label: index of the class, 0 for the background.
        multi_label: classes may overlap.

    Returns:
        bool of the shape of `values`.

    >>> import numpy as np
    >>> has_class(np.array([0, 1, 2, 3], np.uint8), 2, multi_label=True)
    array([False, False,  True,  True])
    """
    member: npt.NDArray[np.bool_] = values & value_of(label, True) != 0 if multi_label and label else values == label
    return member


def join_classes(members: Iterable[npt.NDArray[np.bool_]]) -> npt.NDArray[np.uint8]:
    """Return multi-label values from which pixels are of class 1, 2, ...: bool arrays of one shape, 1 to `MOST_CLASSES`.

    >>> import numpy as np
    >>> join_classes([np.array([False, True, True]), np.array([False, False, True])])
    array([0, 1, 3], dtype=uint8)
    """
    # Loaded here, since recipes hold metadata and the program reads recipes before it knows its command.
    import numpy as np

    bits = (member.view(np.uint8) << np.uint8(position) for position, member in enumerate(members))
    return functools.reduce(np.bitwise_or, bits)


def describe_values(class_names: Sequence[str], multi_label: bool = False) -> str:
    """Return which value is which class, e.g. "0 background, 1 liver, 2 tumour".

    >>> describe_values(("background", "liver", "tumour", "vessel"), multi_label=True)
    '0 background, 1 liver, 2 tumour, 4 vessel, their sum where they overlap'
    """
    pairs = ", ".join(f"{value_of(label, multi_label)} {name}" for label, name in enumerate(class_names))
    return f"{pairs}, their sum where they overlap" if multi_label else pairs
