"""Presets (the files in ``recipes``: paper, appendix B and table 4) and recipe files of one's own."""

import tomllib
from pathlib import Path
from typing import Any

from lcmem.errors import LCMemError
from lcmem.training.recipe import AutoencoderRecipe, Recipe
from lcmem.training.settings import merged

RECIPES = Path(__file__).parent / "recipes"
KINDS: dict[str, type[Recipe] | type[AutoencoderRecipe]] = {"detector": Recipe, "autoencoder": AutoencoderRecipe}


def _description(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


PRESETS = {path.stem: _description(path) for path in sorted(RECIPES.glob("*.toml"), key=lambda path: path.stem)}
"""Name of each preset, and what it is: its file's first line."""


def load_recipe(source: str) -> Recipe | AutoencoderRecipe:
    """A preset by its name, or a TOML file: all keys of a recipe, or ``base = "compact-latent"`` and what is different.

    Raises:
        LCMemError: Neither a preset nor a file, not TOML, a file that is its own base, or keys or values that do not
            fit.
    """
    values = _values(source, Path(), [])
    kind = str(values.get("kind", "detector"))
    if kind not in KINDS:
        raise LCMemError(f"{source}: kind is {kind!r}, expected {' or '.join(KINDS)}")
    return KINDS[kind].validated(values, source)


def _values(source: str, folder: Path, above: list[Path]) -> dict[str, Any]:
    """What a recipe says, with what its base says; ``above`` are the files that it is a base of."""
    path = RECIPES / f"{source}.toml" if source in PRESETS else folder / source
    if not path.is_file():
        raise LCMemError(f"{source}: neither a recipe file nor a preset; presets: {', '.join(PRESETS)}")
    if path.resolve() in above:
        raise LCMemError(f"{path}: is its own base")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LCMemError(f"{path}: not a TOML file ({error})") from error
    base = values.pop("base", None)
    if base is None:
        return values
    return merged(_values(str(base), path.parent, [*above, path.resolve()]), values)
