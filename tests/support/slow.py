"""Parameters of a test that always runs, of which some are left to `pytest -m slow`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def mark_slow(values: Iterable[Any], slow: Iterable[Any]) -> list[Any]:
    """The values for `parametrize` or for a fixture's `params`; those that are in `slow` carry its mark."""
    left = list(slow)
    return [pytest.param(value, marks=pytest.mark.slow) if value in left else value for value in values]
