"""The number types that the command line offers."""

from __future__ import annotations

from enum import Enum


class NumberName(str, Enum):
    """Number types that networks are timed in."""

    INT8 = "int8"
    FLOAT32 = "float32"
