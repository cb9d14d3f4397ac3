"""Known data sets: their layout on disk, as downloaded, becomes a Manifest."""

from pathlib import Path

from lcmem.datasets.assembly import DatasetWarning
from lcmem.datasets.celeba import CELEBA
from lcmem.datasets.ct_rate import CT_RATE
from lcmem.datasets.imagenet_lt import IMAGENET_LT
from lcmem.datasets.isic2020 import ISIC2020
from lcmem.datasets.layout import DatasetInfo
from lcmem.datasets.lfw import LFW
from lcmem.datasets.mimic_cxr import MIMIC_CXR
from lcmem.datasets.nih_cxr import NIH_CXR, NIH_CXR_LT
from lcmem.datasets.open_pack import OPEN_PACK
from lcmem.errors import LCMemError
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.splits import hash_split

__all__ = ["DATASETS", "DatasetInfo", "DatasetWarning", "hash_split", "read_dataset"]

DATASETS: dict[str, DatasetInfo] = {
    info.name: info for info in (CELEBA, LFW, IMAGENET_LT, MIMIC_CXR, NIH_CXR, NIH_CXR_LT, ISIC2020, CT_RATE, OPEN_PACK)
}


def read_dataset(name: str, root: Path) -> Manifest:
    """The pictures of one of the :data:`DATASETS`, with splits that share no identity.

    Official splits are kept where there are any; an identity that is in several goes wholly to the one that holds most
    of its pictures. Listed pictures that are not there are left out. Both is counted in a :class:`DatasetWarning`.

    Raises:
        LCMemError: An unknown name, or ``root`` is laid out otherwise.
    """
    if name not in DATASETS:
        raise LCMemError(f"unknown layout {name!r}; known: {', '.join(DATASETS)}")
    return DATASETS[name].reader(Path(root))
