"""Known data sets: their layout on disk, as downloaded, becomes a Manifest.

Each is a :class:`~lcmem.datasets.layout.DatasetInfo` in a file of this folder, or in a package that brings one with an
entry point of the group ``lcmem.datasets`` (see :mod:`lcmem.plugins`).
"""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from lcmem import plugins
from lcmem.datasets.assembly import DatasetWarning
from lcmem.datasets.layout import DatasetInfo
from lcmem.errors import LCMemError
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.splits import hash_split

__all__ = ["DATASETS", "DatasetInfo", "DatasetWarning", "find_dataset", "hash_split", "read_dataset"]


def _in_this_folder() -> dict[str, DatasetInfo]:
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, DatasetInfo)]
    return {info.name: info for info in found}


DATASETS = _in_this_folder()
"""The data sets that come with the package, by name."""


def find_dataset(name: str) -> DatasetInfo:
    """A data set of the package, or one that another package brings.

    Raises:
        LCMemError: Unknown, or what another package brings cannot be loaded.
    """
    if name in DATASETS:
        return DATASETS[name]
    brought = plugins.installed(plugins.DATASETS)
    if name not in brought:
        raise LCMemError(f"unknown layout {name!r}; known: {', '.join([*DATASETS, *brought])}")
    return plugins.load_plugin(brought[name], DatasetInfo, lambda info: info)


def read_dataset(name: str, root: Path) -> Manifest:
    """The pictures of a known data set, with splits that share no identity.

    Official splits are kept where there are any; an identity that is in several goes wholly to the one that holds most
    of its pictures. Listed pictures that are missing are dropped. Both are reported in a :class:`DatasetWarning`.

    Args:
        name: What :func:`find_dataset` takes.
        root: Its folder.

    Raises:
        LCMemError: An unknown name, or ``root`` is laid out otherwise.
    """
    return find_dataset(name).reader(Path(root))
