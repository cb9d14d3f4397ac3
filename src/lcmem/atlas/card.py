"""The card of an atlas: which model's features it holds, and which shards are part of it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lcmem.errors import LCMemError
from lcmem.files import replacing

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector

CARD = "atlas.json"
VERSION = 1


@dataclass(frozen=True)
class AtlasCard:
    """All that is not in the shards. It is replaced in one piece, so an atlas changes in one step or not at all.

    Attributes:
        fingerprint: Of the model (:attr:`lcmem.detectors.base.Detector.fingerprint`).
        model: Its name, for messages.
        features: D.
        shards: Rows of each shard by file name, in order. A file that is not named here is not part of the atlas.
        next: Number of the next shard. None is used twice: a name always means the same rows.
        working: Whether a job keeps what it was given here, such as the real and the synthetic pictures of an audit.
            Such an atlas is no set of pictures.
    """

    fingerprint: str
    model: str
    features: int
    shards: dict[str, int] = field(default_factory=dict)
    next: int = 0
    working: bool = False

    @classmethod
    def of(cls, detector: "Detector", *, working: bool = False) -> "AtlasCard":
        """The card of a new, empty atlas.

        Raises:
            LCMemError: A detector whose features are not worth keeping.
        """
        if not detector.fingerprint:
            raise LCMemError(
                f"{detector.name}: an atlas of pixels would be as large as the pictures; give these instead"
            )
        return cls(detector.fingerprint, detector.name, detector.dims, working=working)

    @classmethod
    def read(cls, folder: Path) -> "AtlasCard":
        """The card in a folder.

        Raises:
            LCMemError: It is missing, damaged, of another kind or of another version.
        """
        path = folder / CARD
        if not path.is_file():
            raise LCMemError(f"{folder}: not an atlas, {CARD} is missing; lcmem index makes one")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            kind, version = content.pop("kind"), content.pop("version", None)
            if (kind, version) != ("atlas", VERSION):
                raise ValueError(f"kind {kind!r}, version {version!r} instead of 'atlas', {VERSION}")
            content.pop("pictures")
            return cls(**content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LCMemError(
                f"{path}: not the card of an atlas ({error}); choose another folder or delete this one"
            ) from error

    def write(self, folder: Path) -> None:
        """Save it in a folder."""
        content = {"kind": "atlas", "version": VERSION, "pictures": self.pictures, **asdict(self)}
        with replacing(folder / CARD) as partial:
            partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @property
    def pictures(self) -> int:
        """Rows in all shards."""
        return sum(self.shards.values())

    def check_same(self, other: "AtlasCard", folder: Path) -> None:
        """Whether features of the other card may be compared with this one's.

        Raises:
            LCMemError: They are another model's.
        """
        if self.fingerprint != other.fingerprint:
            raise LCMemError(
                f"{folder}: holds features of another model ({self.model} {self.fingerprint[:12]}…, not {other.model} "
                f"{other.fingerprint[:12]}…); give that model, choose another folder or delete this one"
            )

    def check_set(self, folder: Path) -> None:
        """Whether this may stand for a set of pictures.

        Raises:
            LCMemError: A job keeps all its pictures here.
        """
        if self.working:
            raise LCMemError(
                f"{folder}: holds all pictures that an audit or a scan was given, real and synthetic ones alike, so it "
                "stands for no set of pictures; give the pictures themselves, or what lcmem index makes of them"
            )


def is_atlas(source: object) -> bool:
    """Whether this is the folder of an atlas."""
    return isinstance(source, str | Path) and (Path(source) / CARD).is_file()
