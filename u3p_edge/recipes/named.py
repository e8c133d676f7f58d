"""Named recipes of an export: TOML files of the package that a user can copy and change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.artifact import read_json
from u3p_edge.config.plain import from_dict, from_table, parse_toml, read_recipe_text
from u3p_edge.errors import ConfigError
from u3p_edge.quantize.zeros import Zeros
from u3p_edge.recipes.recipe import ExportRecipe, Pruning

FOLDER = Path(__file__).resolve().parents[1] / "recipes"

NAMES = ("exact", "balanced", "small")
"""From the most careful to the smallest."""

DEFAULT = "balanced"

MEASURED = FOLDER / "measured.json"
"""Results of the recipes, as benchmarks/pruning.py measured them."""


@dataclass(frozen=True)
class Recipe:
    """The content of a recipe file; all other options of an export are given where it is run.

    Args:
        description: one line.
        max_drop, pruning, zeros, strips, qat_epochs, qat_learning_rate: see `u3p_edge.recipes.recipe.ExportRecipe`.
    """

    description: str
    max_drop: float = ExportRecipe.max_drop
    pruning: Pruning | None = None
    zeros: Zeros | None = None
    strips: int | None = None
    qat_epochs: int = ExportRecipe.qat_epochs
    qat_learning_rate: float = ExportRecipe.qat_learning_rate

    def options(self) -> Mapping[str, object]:
        """Return the recipe as options of an `ExportRecipe`."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "description"}


@dataclass(frozen=True)
class MeasuredRecipe:
    """The measured result of a recipe on one data set.

    Args:
        data: set, size and base width.
        recipe: name.
        speedup: float32 milliseconds of the original model over those of the int8 file, one thread, one run.
        lost: points of mean foreground Dice on the validation split.
        size_share: bytes of the int8 file over those of the float32 file.
    """

    data: str
    recipe: str
    speedup: float
    lost: float
    size_share: float


def read_measured() -> tuple[MeasuredRecipe, ...]:
    """Read the measured results of the recipes; empty where there are none."""
    if not MEASURED.is_file():
        return ()
    return tuple(from_dict(MeasuredRecipe, entry) for entry in read_json(MEASURED)["results"])


def path_of(name: str) -> Path:
    """Return the file of a named recipe, or the path that was given instead.

    Raises:
        ConfigError: neither.
    """
    path = FOLDER / f"{name}.toml" if name in NAMES else Path(name)
    if not path.is_file():
        raise ConfigError(
            f"there is no recipe {name!r}", mend=f"Give {', '.join(NAMES)}, or a TOML file; `u3p-edge recipes` shows them."
        )
    return path


def read_export_recipe(name: str) -> Recipe:
    """Read a recipe by its name or path. Raises ConfigError that names the file and the option."""
    path = path_of(name)
    return from_table(Recipe, parse_toml(read_recipe_text(path), str(path)), str(path))
