"""What commands take as pictures (a folder, a zip file, a table, or an atlas), and the options on how to read it."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lcmem.atlas import Atlas
    from lcmem.matching.asked import Asked
    from lcmem.pictures.manifest import Manifest


@dataclass(frozen=True)
class Reading:
    """How pictures are read: as of :meth:`lcmem.pictures.manifest.Manifest.read`. Each field is an option."""

    identity_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Identity = first group of this pattern in the path below the folder, e.g. '(patient[0-9]+)_'.",
        ),
    ] = None
    identity_column: Annotated[str, typer.Option(help="Column of a table that names the identity.")] = "identity"
    identity_tag: Annotated[
        str | None, typer.Option(metavar="KEYWORD", help="Element of DICOM files that names the identity: PatientID.")
    ] = None
    identities: Annotated[
        bool, typer.Option("--identities/--no-identities", help="Whether sub-folders or a column name identities.")
    ] = True
    show_ids: Annotated[
        bool,
        typer.Option(
            "--show-ids", help="Keep identities of medical pictures (DICOM, NIfTI, 16 bits) instead of hashing them."
        ),
    ] = False
    root: Annotated[
        Path | None, typer.Option(help="Folder that a table's relative paths start at. Default: that of the table.")
    ] = None

    def manifest(self, source: str | Path) -> "Manifest":
        """The pictures of a folder, zip file or table."""
        from lcmem.pictures.manifest import Manifest

        return Manifest.read(source, **{field.name: getattr(self, field.name) for field in fields(self)})

    def pictures_or_none(self, source: str | None) -> "Manifest | Atlas | None":
        """As of :meth:`pictures`, where a source is given."""
        return None if source is None else self.pictures(source)

    def pictures(self, source: str) -> "Manifest | Atlas":
        """The same, or an atlas.

        Raises:
            LCMemError: No pictures; or options about identities for an atlas, which has its own.
        """
        from lcmem.atlas.card import is_atlas
        from lcmem.errors import LCMemError
        from lcmem.matching.features import read_source

        if not is_atlas(source):
            return self.manifest(source)
        if self != Reading(root=self.root):
            raise LCMemError(f"{source}: an atlas has its own identities; give these options to lcmem index instead")
        return read_source(source)

    def beside(self, source: str) -> "Manifest | Atlas":
        """Pictures of nobody, such as synthetic ones: the options about identities are not for them."""
        from lcmem.atlas.card import is_atlas
        from lcmem.matching.features import read_source

        return read_source(source) if is_atlas(source) else Reading(identities=False, root=self.root).manifest(source)


AS_IS = Reading()
"""Where no option is given."""


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that has a parameter ``reading`` all options of :class:`Reading` in its place."""
    signature = inspect.signature(command)
    options = {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, annotation, default in ((field.name, field.type, field.default) for field in fields(Reading))
    }

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        command(
            **{name: value for name, value in given.items() if name not in options},
            reading=Reading(**{name: given[name] for name in options}),
        )

    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        keyword = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += options.values() if name == "reading" else [keyword]
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


def asked_rate(rate: float | None) -> float:
    """The false positive rate that was asked for, or the usual one."""
    from lcmem.stats.calibration import DEFAULT_RATE

    return DEFAULT_RATE if rate is None else rate


def asked_for(threshold: float | None, place: Path | None, rate: float | None = None) -> "Asked":
    """What ``--threshold``, ``--calibration`` and ``--false-positive-rate`` say.

    Raises:
        LCMemError: The calibration is missing, damaged, or something else; or two of the three are given.
    """
    from lcmem.errors import LCMemError
    from lcmem.matching.asked import Asked
    from lcmem.matching.calibration_file import CalibrationFile
    from lcmem.stats.calibration import check_one_threshold

    check_one_threshold(threshold, place)
    if place is not None and rate is not None:
        raise LCMemError("give a false positive rate or a calibration, not both: the file was made for a rate")
    if threshold is not None and rate is not None:
        raise LCMemError("give a threshold or a false positive rate, not both: the rate says what to calibrate one for")
    file = None if place is None else CalibrationFile.read(place)
    return Asked(threshold=threshold, calibration=file, false_positive_rate=asked_rate(rate))
