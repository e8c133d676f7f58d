"""Named recipes of an export: TOML files of the package that a user can copy and change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from u3p_edge.config.plain import from_dict, parse_table, read_recipe_text
from u3p_edge.errors import ConfigError, about
from u3p_edge.files.atomic import read_json
from u3p_edge.recipes.recipe import ExportRecipe

FOLDER = Path(__file__).resolve().parents[1] / "recipes"

NAMES = ("exact", "balanced", "small")
"""From the most careful to the smallest."""

DEFAULT = "balanced"

MEASURED = FOLDER / "measured.json"
"""Results of the recipes, as benchmarks/pruning.py measured them."""


MOVED = {
    "strips": "tiles in a table [tiling]",
    "zeros": "a table [sparsity]",
    "qat_epochs": "qat_epochs in a table [quantization]",
    "qat_learning_rate": "qat_learning_rate in a table [quantization]",
}
"""Keys of recipe files of before, and what they are now."""


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe file: one line that describes it, and the options of an export."""

    description: str
    recipe: ExportRecipe


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


def read_export_recipe(name: str) -> NamedRecipe:
    """Read a recipe by its name or path. Raises ConfigError that names the file and the option."""
    path = path_of(name)
    table = parse_table(read_recipe_text(path), str(path))
    with about(str(path)):
        old = next((key for key in table if key in MOVED), None)
        if old is not None:
            raise ConfigError(f"{old!r} is now {MOVED[old]}", mend="`u3p-edge recipes show exact` prints a whole recipe.")
        description = table.pop("description", "")
        if not isinstance(description, str):
            raise ConfigError("the description is not a text", mend='Write for example description = "mine".')
        return NamedRecipe(description, from_dict(ExportRecipe, table))
