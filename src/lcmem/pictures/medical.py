"""DICOM files and NIfTI volumes in lists of pictures: a picture for each frame or slice, and whose they are."""

import hashlib
import hmac
import io
import os
import re
import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import pandas as pd

from lcmem.errors import LCMemError, LCMemWarning, extra
from lcmem.pictures.listing import SUFFIXES, file_head
from lcmem.pictures.paths import (
    DICOM_SUFFIXES,
    HEAD,
    VOLUME_SUFFIXES,
    is_dicom,
    read_bytes,
    split_bits,
    split_slice,
    split_zip,
)
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
    """

    frames: int = 1
    patient: str = ""
    identity: str = ""


def expanded(table: pd.DataFrame, identity_tag: str | None, *, identities: bool) -> tuple[pd.DataFrame, bool]:
    """A list in which files of several frames, and volumes, are replaced by all of these.

    The slices of one volume, or the frames of one file, are those of one person: where no identity is known, the file
    is taken for it.

    Args:
        table: As of :class:`lcmem.pictures.manifest.Manifest`.
        identity_tag: Keyword of the DICOM element that names the identity, such as ``PatientID``.
        identities: Whether they are wanted.

    Returns:
        The list, and whether there is a DICOM file or a volume in it.

    Raises:
        LCMemError: An unknown keyword, or no file has that element.

    Warns:
        LCMemWarning: The identity of DICOM files is not known, although they name a patient.
    """
    kinds = [_kind(path) for path in table["path"]]
    places = [row for row, kind in enumerate(kinds) if kind]
    if identity_tag is not None:
        _check_keyword(identity_tag, "dicom" in kinds)
    if not places:
        return table, False
    headers = _headers([(table["path"].iloc[row], kinds[row]) for row in places], identity_tag)
    found = pd.DataFrame(headers, index=table.index[places])
    if identity_tag is not None:
        _check_found(found["identity"], identity_tag)
        table = table.assign(identity=found["identity"].reindex(table.index).fillna(table["identity"]))
    elif identities:
        _warn_of_patients(table["identity"][found.index], found["patient"])
    return _each_frame(table, found["frames"], identities=identities), True


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
    return bool(_kind(path))


def _kind(path: str) -> str:
    """``volume`` or ``dicom`` if all of a file is meant; "" of other pictures and of single slices."""
    if "#" in path and (split_slice(path)[1] is not None or split_bits(path)[1] is not None):
        return ""
    name = path.lower()
    suffix = os.path.splitext(name)[1]  # of a million paths pathlib would take a minute
    if name.endswith(VOLUME_SUFFIXES):
        return "volume"
    if suffix in DICOM_SUFFIXES:
        return "dicom"
    head = b"" if suffix in SUFFIXES else _head(path)
    return "dicom" if is_dicom(head) else ""


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

    wanted = ["NumberOfFrames", PATIENT, *([keyword] if keyword else [])]
    source = io.BytesIO(read_bytes(path)) if split_zip(path)[0] else path
    dataset = dcmread(source, stop_before_pixels=True, specific_tags=wanted, force=True)
    frames = int(dataset.get("NumberOfFrames") or 1)
    return Header(frames, _text(dataset.get(PATIENT)), _text(dataset.get(keyword)) if keyword else "")


def _text(value: object) -> str:
    return unicodedata.normalize("NFC", str(value or "").replace("\0", "")).strip()


def _check_keyword(keyword: str, there: bool) -> None:
    with extra("medical", "identities of DICOM files need pydicom"):
        from pydicom.datadict import tag_for_keyword
    if tag_for_keyword(keyword) is None:
        raise LCMemError(f"--identity-tag {keyword}: not a keyword of DICOM; PatientID and StudyInstanceUID are such")
    if not there:
        raise LCMemError(f"--identity-tag {keyword} is for DICOM files, and there are none; use --identity-pattern")


def _check_found(values: pd.Series, keyword: str) -> None:
    missing = int((values == "").sum())
    if missing == len(values):
        raise LCMemError(f"--identity-tag {keyword}: none of the {missing} DICOM files has this element")
    if missing:
        warnings.warn(
            f"{missing} of {len(values)} files have no {keyword}; each of them stands for itself",
            LCMemWarning,
            stacklevel=4,
        )


def _warn_of_patients(identities: pd.Series, patients: pd.Series) -> None:
    unknown = patients[(identities == "") & (patients != "")]
    if len(unknown) > 1:
        warnings.warn(
            f"DICOM files without an identity: --identity-tag {PATIENT} would give {unknown.nunique()} identities for "
            f"{len(unknown)} files; without it pictures of one patient count as pictures of strangers",
            LCMemWarning,
            stacklevel=4,
        )


def pseudonyms(names: pd.Series) -> pd.Series:
    """Identities as hashes, which are the same in every set and on every machine; "" and hashes stay as they are."""
    return names.map({name: _pseudonym(name) for name in names.unique()}).astype(str)


def _pseudonym(name: str) -> str:
    if not name or PSEUDONYM.fullmatch(name):
        return name
    return "id-" + hmac.new(os.environ.get(KEY, "").encode(), name.encode(), hashlib.sha256).hexdigest()[:12]
