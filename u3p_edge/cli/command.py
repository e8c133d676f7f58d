"""A command whose numbers are finite: `--seconds nan` passes every comparison that would refuse it."""

from __future__ import annotations

import math
from typing import Any

from typer.core import TyperCommand

from u3p_edge.errors import ConfigError


class Command(TyperCommand):
    """Any command of the program."""

    def invoke(self, ctx: Any) -> Any:
        """Run it, unless an option is not a number."""
        for name, value in ctx.params.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"--{name.replace('_', '-')} cannot be {value}", mend="Give a number.")
        return super().invoke(ctx)
