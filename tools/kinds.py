r"""Gather pictures of many kinds that nobody named: drawings, symbols, computed things, cut-out photos, textures.

    apt-get download openclipart-png tuxpaint-stamps-default freeciv-data hedgewars-data pysiogame tuxpaint-data \
        gnome-backgrounds mate-backgrounds plasma-workspace-wallpapers lomiri-wallpapers-20.04 openarena-081-textures \
        faenza-icon-theme moka-icon-theme obsidian-icon-theme mate-icon-theme gnome-icon-theme sweethome3d-furniture \
        endless-sky-data naev-data freeorion-data lincity-ng-data flare-game supertux-data pingus-data warmux-data \
        fillets-ng-data stellarium-data opencv-doc gimp-help-en pokerth-data
    for each in *.deb; do dpkg-deb -x $each DEBIAN/${each%%_*}; done
    python tools/kinds.py DEBIAN --out kinds.npz

They teach a detector nothing about identities: ``tools/pixel_model/remember.py`` has it learn again what EfficientNet
said of such pictures. Sources and terms are in :data:`TERMS`, for the card.
"""

import argparse
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Image.MAX_IMAGE_PIXELS = None  # of one drawing 600 million, most of them white
SIDE = 160
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tga")
WALLPAPERS = ("gnome-backgrounds", "mate-backgrounds", "plasma-workspace-wallpapers", "lomiri-wallpapers-20.04")
THEMES = dict.fromkeys(("faenza-icon-theme", "moka-icon-theme", "obsidian-icon-theme"), ("/96/", "/96x96/"))
THEMES |= dict.fromkeys(("mate-icon-theme", "gnome-icon-theme"), ("/256x256/", "/48x48/"))
OTHERS: tuple[tuple[str, dict[str, tuple[str, ...]], int], ...] = (
    ("ships", {"endless-sky-data": ("/images/ship/", "/images/outfit/", "/images/land/", "/images/planet/")}, 900),
    ("ships", {"naev-data": ("/outfit/store/", "/commodity/", "/planet/")}, 700),
    ("ships", {"freeorion-data": ("/icons/s", "/icons/tech", "/icons/b", "/icons/m", "/hulls_design/")}, 700),
    ("city", {"lincity-ng-data": ("/tiles/",)}, 360),
    (
        "portraits",
        {
            "naev-data": ("/portraits/",),
            "flare-game": ("/portraits/", "/loot/", "/powers/"),
            "pokerth-data": ("/avatars/", "/cards/default/"),
        },
        500,
    ),
    ("sprites", {"supertux-data": ("/creatures/", "/objects/", "/tiles/", "/decal/", "/background/")}, 1000),
    ("sprites", {"pingus-data": ("/groundpieces/", "/textures/", "/worldmaps/")}, 350),
    ("sprites", {"warmux-data": (".png",)}, 350),
    ("sprites", {"fillets-ng-data": ("/images/",)}, 700),
    ("sky", {"stellarium-data": ("/nebulae/", "/skycultures/", "/landscapes/")}, 900),
    ("figures", {"opencv-doc": ("/examples/", ".jpg")}, 600),
    ("figures", {"gimp-help-en": ("/filters/", "/using/", "/tutorials/", "/glossary/")}, 700),
)
"""Kind, what is in the paths of a package's pictures that are taken, and how many of them at most."""
TERMS = {
    "clipart": "openclipart 0.18: public domain",
    "stamps": "Tux Paint's stamps 2022.06.04: GPL-2.0",
    "flags": "Freeciv 3.0.6: GPL-2.0-or-later",
    "tiles": "Freeciv 3.0.6: GPL-2.0-or-later",
    "hedgewars": "Hedgewars 1.0.2: GPL-2.0",
    "pysiogame": "pySioGame 4.20: GPL-3.0-or-later, CC BY 3.0",
    "tuxpaint": "Tux Paint 0.9.28: GPL-2.0-or-later",
    "wallpapers": "backgrounds of GNOME 43, MATE 1.26, Plasma 5.27, Lomiri 20.04: GPL-2.0-or-later, CC BY, CC BY-SA",
    "textures": "OpenArena 0.8.5: GPL-2.0-or-later",
    "icons": "Faenza 1.3.1, Moka 5.5, Obsidian 3.5, MATE 1.26, GNOME 3.12: GPL-3.0-or-later, CC BY-SA 4.0, LGPL-3.0",
    "furniture": "Sweet Home 3D's furniture 1.8: CC BY 3.0, CC0",
    "ships": "Endless Sky 0.9.8, Naev 0.8.2, FreeOrion 0.4.10: CC BY, CC BY-SA, GPL-2.0-or-later, public domain",
    "city": "LinCity-NG 2.9: GPL-2.0-or-later",
    "portraits": "Flare 1.14, PokerTH 1.1.2, Naev 0.8.2: CC BY-SA 3.0, GPL-2.0-or-later, public domain",
    "sprites": "SuperTux 0.6.3, Pingus 0.7.6, Warmux 11.04, Fish Fillets 1.0.1: GPL-2.0-or-later, CC BY-SA",
    "sky": "Stellarium 0.22.2: GPL-2.0-or-later",
    "figures": "OpenCV 4.6, GIMP's manual 2.10: Apache-2.0, BSD-3-Clause, GFDL-1.2",
}
Read = Callable[[], bytes]


@dataclass
class Collection:
    """What was found so far; no file twice."""

    rng: np.random.Generator
    pictures: list[np.ndarray]
    kinds: list[str]
    seen: set[bytes]

    def add(self, kind: str, files: list[tuple[str, Read]], most: int, *, parts: int = 1, cut_out: bool = True) -> None:
        """Take files in random order until there are so many pictures.

        Args:
            kind: Their name.
            files: Name of each, and what reads it.
            most: Pictures.
            parts: Of a picture of at least 300 pixels, this many less one are parts of it.
            cut_out: Whether what is transparent is cut off; a texture's alpha channel means something else.
        """
        found = 0
        for at in self.rng.permutation(len(files)):
            if found >= most:
                break
            name, read = files[at]
            raw = read()
            digest = hashlib.sha256(raw).digest()
            if digest in self.seen:
                continue
            self.seen.add(digest)
            try:
                with Image.open(io.BytesIO(raw)) as opened:
                    picture = (opened if cut_out else opened.convert("RGB")).convert("RGBA")
            except OSError as error:
                print(f"{name}: skipped, {error}")
                continue
            for part in range(parts if min(picture.size) >= 300 else 1):
                square = self._square(self._part(picture) if part else picture, cut_out)
                if square is not None:
                    self.pictures.append(square)
                    self.kinds.append(kind)
                    found += 1
        print(f"{kind}: {found} pictures", flush=True)

    def _part(self, picture: Image.Image) -> Image.Image:
        sides = [int(side * share) for share in [self.rng.uniform(0.35, 0.8)] for side in picture.size]
        x, y = (int(self.rng.integers(0, whole - side + 1)) for whole, side in zip(picture.size, sides, strict=True))
        return picture.crop((x, y, x + sides[0], y + sides[1]))

    def _square(self, picture: Image.Image, cut_out: bool) -> np.ndarray | None:
        """``[160, 160, 3]`` uint8, on white or on any colour; None where there is next to nothing to see."""
        box = picture.getchannel("A").getbbox()
        if box is None:
            return None
        colour = (255, 255, 255) if self.rng.random() < 0.6 else tuple(map(int, self.rng.integers(0, 256, 3)))
        shown = Image.alpha_composite(Image.new("RGBA", picture.size, (*colour, 255)), picture).convert("RGB")
        shown = shown.crop(box) if cut_out else shown
        if min(shown.size) < 12:
            return None
        way = Image.Resampling.BOX if min(shown.size) > 2 * SIDE else Image.Resampling.BICUBIC
        square = np.asarray(shown.resize((SIDE, SIDE), way))
        return None if square.std() < 4 else square


def files_of(package: Path, *below: str, without: str = "\0") -> list[tuple[str, Read]]:
    """Pictures of an unpacked package whose paths have the first of these in them, then the second …, and not that."""
    found = [path for path in sorted(package.rglob("*")) if path.suffix.lower() in PICTURES]
    found = [path for path in found if path.is_file() and not path.is_symlink()]
    found = [path for path in found if without not in str(path)]
    return [(str(path), path.read_bytes) for part in below or ("",) for path in found if part in str(path)]


def files_in(debian: Path, packages: dict[str, tuple[str, ...]]) -> list[tuple[str, Read]]:
    """The same of several packages."""
    return [each for name, below in packages.items() for each in files_of(debian / name, *below)]


def zipped(package: Path, archives: str) -> Iterator[tuple[str, Read]]:
    """Pictures of the archives of a package with such names."""
    for path in sorted(package.rglob(archives)):
        archive = zipfile.ZipFile(path)
        for name in archive.namelist():
            if name.lower().endswith(PICTURES):
                yield name, lambda archive=archive, name=name: archive.read(name)  # type: ignore[misc]


def main() -> None:
    """Parse, gather, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debian", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    debian, found = arguments.debian, Collection(np.random.default_rng(0), [], [], set())
    found.add("clipart", files_of(debian / "openclipart-png"), 5000)
    found.add("stamps", files_of(debian / "tuxpaint-stamps-default"), 800)
    found.add("flags", files_of(debian / "freeciv-data", "flags"), 150)
    found.add("tiles", files_of(debian / "freeciv-data", without="flags"), 250)
    found.add("hedgewars", files_of(debian / "hedgewars-data"), 700)
    found.add("pysiogame", files_of(debian / "pysiogame", "images"), 900)
    found.add("tuxpaint", files_of(debian / "tuxpaint-data", "stamps/", "starters/"), 120)
    found.add("wallpapers", files_in(debian, dict.fromkeys(WALLPAPERS, ())), 330, parts=3)
    found.add("textures", [*zipped(debian / "openarena-081-textures", "*.pk3")], 900, cut_out=False)
    found.add("icons", files_in(debian, THEMES), 3500)
    found.add("furniture", [*zipped(debian / "sweethome3d-furniture", "*.sh3f")], 1000)
    for kind, packages, most in OTHERS:
        found.add(kind, files_in(debian, packages), most)
    np.savez_compressed(arguments.out, pictures=np.stack(found.pictures), kinds=np.array(found.kinds))


if __name__ == "__main__":
    main()
