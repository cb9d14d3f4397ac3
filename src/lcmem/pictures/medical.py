"""DICOM files and NIfTI volumes in lists of pictures: a picture for each frame or slice, and whose they are."""

import hashlib
import hmac
import io
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError, extra
from lcmem.pictures.listing import SUFFIXES, file_head
from lcmem.pictures.paths import DICOM_SUFFIXES, HEAD, VOLUME_SUFFIXES, is_dicom, read_bytes, split_slice, split_zip
from lcmem.progress import progress_bar

PATIENT = "PatientID"
KEY = "LCMEM_ID_KEY"
"""Environment variable: a secret that pseudonyms depend on, so that nobody finds ids by trying all of them."""
MAX_FRAMES = 2**16
"""A header that claims more frames or slices is damaged."""
PSEUDONYM = re.compile(r"id-[0-9a-f]{12}")


class Header(NamedTuple):
    """What the header of a file says.

    Attributes:
        frames: Pictures in the file; 1 where it cannot be read, which is said when it is opened.
        patient: PatientID of DICOM.
        identity: The element that was asked for.
        windows: Windows that a file of computed tomography declares.
    """

    frames: int = 1
    patient: str = ""
    identity: str = ""
    windows: int = 0


class Expanded(NamedTuple):
    """A list of pictures in which files of several frames, and volumes, are replaced by all of these.

    Attributes:
        table: As of :class:`lcmem.pictures.manifest.Manifest`.
        medical: Whether there is a DICOM file or a volume in it, or a frame or slice of one.
        doubt: What their headers say against the identities; "" if nothing.
    """

    table: pd.DataFrame
    medical: bool
    doubt: str


def expanded(table: pd.DataFrame, identity_tag: str | None, *, identities: bool, folders: bool = False) -> Expanded:
    """Replace files of several frames, and volumes, by all of these.

    The slices of one volume, or the frames of one file, are those of one person: where no identity is known, the file
    is taken for it.

    Args:
        table: As of :class:`lcmem.pictures.manifest.Manifest`.
        identity_tag: Keyword of the DICOM element that names the identity, such as ``PatientID``.
        identities: Whether they are wanted.
        folders: Whether they were taken from the names of folders, which headers may know better.

    Raises:
        LCMemError: An unknown keyword, or no file has that element.
    """
    files = [split_slice(path)[0] if "#" in path else path for path in table["path"]]
    whole = np.array([file == path for file, path in zip(files, table["path"], strict=True)], dtype=bool)
    kinds = np.array(_kinds(files), dtype=object)
    if identity_tag is not None:
        _check_keyword(identity_tag)
    if not (kinds != "").any():
        nothing = f"--identity-tag {identity_tag} is for DICOM files, and there are none" if identity_tag else ""
        return Expanded(table, False, nothing)
    # of a single slice of a volume the header says nothing that is wanted
    places = np.flatnonzero((kinds != "") & (whole | (identities & (kinds == "dicom"))))
    named = dict.fromkeys((files[row], kinds[row]) for row in places)
    headers = dict(zip(named, _headers([*named], identity_tag), strict=True))
    rows = [headers[files[row], kinds[row]] for row in places]
    found = pd.DataFrame(rows, index=table.index[places], columns=Header._fields)
    doubt = ""
    if identity_tag is not None:
        doubt = _missing(found["identity"], identity_tag)
        table = table.assign(identity=found["identity"].reindex(table.index).fillna(table["identity"]))
    elif identities:
        doubt = _otherwise(table["identity"][found.index], found["patient"], folders)
    if (several := int((found["windows"] > 1).sum())) > 0:
        text = f"{several} CT files declare several windows, of which the first is shown"
        doubt = "; ".join(filter(None, (doubt, f"{text}: where generated pictures show another, copies are missed")))
    single = found.index[~whole[places]]
    return Expanded(_each_frame(table, found["frames"].drop(single), identities=identities), True, doubt)


def _each_frame(table: pd.DataFrame, frames: pd.Series, *, identities: bool) -> pd.DataFrame:
    counts = frames.reindex(table.index).fillna(1).astype(int)
    several = counts > 1
    if identities:
        own = several & (table["identity"] == "")
        table = table.assign(identity=table["identity"].where(~own, _file_names(table["path"])))
    rows = table.loc[table.index.repeat(counts)]
    number = rows.groupby(level=0).cumcount()
    named = rows["path"] + "#slice=" + number.astype(str)
    return rows.assign(path=rows["path"].where(~several[rows.index].to_numpy(), named)).reset_index(drop=True)


def _file_names(paths: pd.Series) -> pd.Series:
    """Names of files without folder and suffix; the whole path where a name is there twice."""
    names = paths.map(lambda path: PurePosixPath(path).name.partition(".")[0])
    return names.where(~names.duplicated(keep=False), paths)


def is_medical_file(path: str) -> bool:
    """Whether a file is DICOM or a NIfTI volume."""
    return bool(_kinds([path])[0])


PROBED = 100
"""Files called like pictures that are looked into for DICOM; if one is, all are."""


def _kinds(files: Sequence[str]) -> list[str]:
    """``volume`` or ``dicom`` for each file; "" for other pictures.

    Those without a picture's suffix are looked into anyway; of a million others only some, which lie far apart.
    """
    found, called = [_by_name(file) for file in files], "picture"
    pictures = [row for row, kind in enumerate(found) if kind == called]
    odd = any(is_dicom(_head(files[row])) for row in pictures[:: max(1, len(pictures) // PROBED)])
    for row in pictures:
        found[row] = "dicom" if odd and is_dicom(_head(files[row])) else ""
    return found


def _by_name(file: str) -> str:
    """The kind, or ``picture`` for one that is called like a picture; "" for another one."""
    name = file.lower()
    suffix = os.path.splitext(name)[1]  # of a million paths pathlib would take a minute
    if name.endswith(VOLUME_SUFFIXES):
        return "volume"
    if suffix in DICOM_SUFFIXES:
        return "dicom"
    if suffix in SUFFIXES:
        return "picture"
    return "dicom" if is_dicom(_head(file)) else ""


def _head(path: str) -> bytes:
    try:
        return read_bytes(path)[:HEAD] if split_zip(path)[0] else file_head(path)
    except Exception:  # zipfile and zlib raise many kinds on damaged archives, which are named when they are read
        return b""


def _headers(files: Sequence[tuple[str, str]], keyword: str | None) -> list[Header]:
    found = []
    with progress_bar("reading headers", len(files)) as advance:
        for path, kind in files:
            try:
                header = _volume(path) if kind == "volume" else _dicom(path, keyword)
                found.append(header if 0 < header.frames <= MAX_FRAMES else header._replace(frames=1))
            except Exception:  # whatever is wrong with the file (or no pydicom) is said when it is opened
                found.append(Header())
            advance(1)
    return found


def _volume(path: str) -> Header:
    from lcmem.pictures.nifti import count_slices

    return Header(count_slices(path))


def _dicom(path: str, keyword: str | None) -> Header:
    from pydicom import dcmread

    wanted = ["NumberOfFrames", PATIENT, "Modality", "WindowWidth", *([keyword] if keyword else [])]
    source = io.BytesIO(read_bytes(path)) if split_zip(path)[0] else path
    dataset = dcmread(source, stop_before_pixels=True, specific_tags=wanted, force=True)
    frames = int(dataset.get("NumberOfFrames") or 1)
    widths = np.size(dataset.get("WindowWidth")) if dataset.get("Modality") == "CT" else 0
    return Header(frames, _text(dataset.get(PATIENT)), _text(dataset.get(keyword)) if keyword else "", widths)


def _text(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):  # a backslash parts several values
        value = "\\".join(map(str, value))
    return unicodedata.normalize("NFC", str(value or "").replace("\0", "")).strip()


def _check_keyword(keyword: str) -> None:
    with extra("medical", "identities of DICOM files need pydicom"):
        from pydicom.datadict import tag_for_keyword
    if tag_for_keyword(keyword) is None:
        raise LCMemError(f"--identity-tag {keyword}: not a keyword of DICOM; PatientID and StudyInstanceUID are such")


def _missing(values: pd.Series, keyword: str) -> str:
    missing = int((values == "").sum())
    if missing == len(values):
        raise LCMemError(f"--identity-tag {keyword}: none of the {missing} DICOM files has this element")
    return f"{missing} of {len(values)} files have no {keyword}; each of them stands for itself" if missing else ""


def _otherwise(identities: pd.Series, patients: pd.Series, folders: bool) -> str:
    """What is doubtful about identities, or that there are none, by the patients that headers name; or ""."""
    known = patients != ""
    would = f"--identity-tag {PATIENT} would give {patients[known].nunique()} identities for {known.sum()} files"
    if (known & (identities == "")).sum() > 1:
        strangers = "without it pictures of one patient count as pictures of strangers"
        return f"DICOM files without an identity: {would}; {strangers}"
    if not folders or patients[known].nunique() < 2:  # such as one that an anonymiser wrote into all of them
        return ""
    spread = int((identities[known].groupby(patients[known]).nunique() > 1).sum())
    mixed = int((patients[known].groupby(identities[known]).nunique() > 1).sum())
    if not (spread or mixed):
        return ""
    parts = [f"{spread} patients have pictures in several"] if spread else []
    parts += [f"{mixed} hold pictures of several patients"] if mixed else []
    return f"the folders are not the patients that the DICOM files name ({', '.join(parts)}): {would}"


def pseudonyms(names: pd.Series) -> pd.Series:
    """Identities as hashes, which are the same in every set and on every machine; "" and hashes stay as they are."""
    return names.map({name: pseudonym(name) for name in names.unique()}).astype(str)


def pseudonym(name: str) -> str:
    """An identity as a hash; "" and hashes as they are."""
    if not name or PSEUDONYM.fullmatch(name):
        return name
    return "id-" + hmac.new(os.environ.get(KEY, "").encode(), name.encode(), hashlib.sha256).hexdigest()[:12]
