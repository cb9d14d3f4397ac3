"""What commands take as pictures: a folder, a zip file, a table, or an atlas."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcmem.atlas import Atlas
    from lcmem.pictures.manifest import Manifest


def read_pictures(
    source: str, identity_pattern: str | None, identity_column: str, identities: bool
) -> "Manifest | Atlas":
    """The pictures with the identities that the options ask for.

    Raises:
        LCMemError: No pictures; or options about identities for an atlas, which has its own.
    """
    from lcmem.atlas.card import is_atlas
    from lcmem.errors import LCMemError
    from lcmem.matching.features import read_source
    from lcmem.pictures.manifest import Manifest

    if not is_atlas(source):
        return Manifest.read(
            source, identity_pattern=identity_pattern, identity_column=identity_column, identities=identities
        )
    if identity_pattern is not None or identity_column != "identity" or not identities:
        raise LCMemError(f"{source}: an atlas has its own identities; give these options to lcmem index instead")
    return read_source(source)
