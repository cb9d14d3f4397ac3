"""Files that are either whole or not there: text, JSON, and tables as CSV or Parquet."""

import csv
import json
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcmem.errors import LCMemError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure


def common_folder(folders: Iterable[str]) -> str:
    """The folder that all of these lie in; "" where there is none, or they are on several drives."""
    try:
        return os.path.commonpath([*folders])
    except ValueError:
        return ""


@contextmanager
def naming(target: Path) -> Iterator[None]:
    """Have an error of the system that names no file, such as of a full disk, name this one."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(target)
        raise


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Write a file so that nobody ever reads half of it.

    Args:
        target: The file to write or to replace.

    Yields:
        A temporary path beside it. It takes the target's place when the block ends, and is deleted when it fails.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        with naming(target):
            yield partial
            partial.replace(target)
    except BaseException:  # an interrupted write leaves as little behind as a failed one
        with suppress(OSError):  # where nothing can be written, nothing can be deleted
            partial.unlink(missing_ok=True)
        raise


def write_text(text: str, target: Path) -> None:
    """Write a file of text, with a line end at its end."""
    with replacing(target) as partial:
        partial.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def finite(value: float) -> float | None:
    """A number for JSON, which knows no infinity: None in its place."""
    return value if isfinite(value) else None


def write_json(content: Any, target: Path) -> None:
    """Write a JSON file for people to read as well.

    Raises:
        ValueError: A number is not finite, which JSON does not know.
    """
    write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False), target)


def read_json(source: Path) -> Any:
    """Read a JSON file.

    Raises:
        LCMemError: It is missing or damaged.
    """
    try:
        return json.loads(source.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise LCMemError(f"{source}: not a readable JSON file ({error})") from error


def write_table(table: "pd.DataFrame", target: Path, **options: Any) -> None:
    """Write a table as Parquet or CSV, by the file's suffix.

    Args:
        table: The table; its row labels are left out.
        target: ``.parquet`` for Parquet, anything else for CSV.
        **options: Of :meth:`pandas.DataFrame.to_csv`, for CSV only.
    """
    with replacing(target) as partial:
        if target.suffix.lower() == ".parquet":
            table.to_parquet(partial, index=False)
        else:
            returns = any(_has_return(column) for _, column in table.items())  # readers take one for the end of a row
            quoting = {"quoting": csv.QUOTE_NONNUMERIC} if returns else {}
            table.to_csv(partial, index=False, **quoting, **options)


def write_arrays(target: Path, **arrays: Any) -> None:
    """Write arrays by their names as one ``.npz`` file."""
    import numpy as np

    with replacing(target) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def read_arrays(source: Path, way_out: str) -> "dict[str, np.ndarray]":
    """Read what :func:`write_arrays` wrote.

    Args:
        source: The file.
        way_out: What to do where it is damaged.

    Raises:
        LCMemError: It is missing or damaged.
    """
    import numpy as np

    try:
        with np.load(source) as saved:
            return {name: saved[name] for name in saved.files}
    except Exception as error:  # zipfile, numpy and zlib raise many kinds on damaged files
        raise LCMemError(f"{source}: damaged ({error}); {way_out}") from error


def _has_return(column: "pd.Series") -> bool:
    """Whether a cell of text holds a carriage return, as a file's name may."""
    return column.dtype.kind not in "biufcmM" and bool(column.astype(str).str.contains("\r", regex=False).any())


def write_plot(figure: "Figure", target: Path) -> None:
    """Save a figure as PNG."""
    with replacing(target) as partial:
        figure.savefig(partial, dpi=120, format="png")


def write_picture(levels: "np.ndarray", target: Path) -> None:
    """Save a picture ``[3, H, W]`` uint8 as PNG, in a folder that is made where it is missing."""
    from PIL import Image

    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as partial:
        Image.fromarray(levels.transpose(1, 2, 0)).save(partial, format="PNG")


def read_table(source: Path, columns: Collection[str] = (), **options: Any) -> "pd.DataFrame":
    """Read a Parquet or CSV file, by its suffix; a CSV file's cells are read as strings, "" where they are empty.

    Cells of a CSV file may be separated by commas, semicolons or tabs; blanks around the names of columns are dropped,
    and empty cells behind the last column.

    Args:
        source: The file.
        columns: Columns that must be there.
        **options: Of :func:`pandas.read_csv`, for CSV only.

    Raises:
        LCMemError: It is missing or damaged, or lacks a column.
    """

    if not source.is_file():
        raise LCMemError(f"{source}: no such file")
    try:
        table = _read_parquet(source) if source.suffix.lower() == ".parquet" else _read_csv(source, options)
    except UnicodeDecodeError as error:
        raise LCMemError(f"{source}: not UTF-8 ({error.reason}); save it as CSV UTF-8") from error
    except Exception as error:  # pandas, pyarrow and gzip raise many kinds on damaged files
        said = str(error).strip()
        raise LCMemError(f"{source}: not a readable table ({said}); save it again as CSV UTF-8") from error
    for column in sorted(columns):
        if column not in table.columns:
            found = ", ".join(map(str, table.columns))
            raise LCMemError(f"{source}: no column {column!r} (found: {found}); give the one that is meant this name")
    return table


def _read_parquet(source: Path) -> "pd.DataFrame":
    import pyarrow.parquet as pq

    table = pq.read_table(source)
    table.validate(full=True)  # or letters that are none are found by whoever uses them first
    return table.to_pandas()


def _says_separator(source: Path) -> int:
    """Lines before the head: one if the first is ``sep=;``, as spreadsheets are told what stands between cells."""
    if source.suffix.lower() == ".gz":
        return 0
    with source.open("rb") as file:
        first = file.read(9).removeprefix(b"\xef\xbb\xbf").splitlines()[:1]
    return int(bool(first) and first[0].strip().lower() in (b"sep=;", b"sep=,", b"sep="))


def _read_csv(source: Path, options: dict[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    ours = "sep" not in options  # files of known data sets may mean it that rows have a cell more
    if ours:
        options["skiprows"] = _says_separator(source)
        names = list(pd.read_csv(source, nrows=0, skiprows=options["skiprows"]))
        options["sep"] = next((sign for sign in "\t;" if len(names) == 1 and sign in names[0]), ",")
    table = pd.read_csv(source, dtype=str, keep_default_na=False, **options)
    if ours and not isinstance(table.index, pd.RangeIndex):
        # each row has more cells than the head, so pandas took the first ones for labels
        count = table.index.nlevels
        if table.iloc[:, -count:].replace("", None).notna().any(axis=None):
            raise ValueError("rows have more cells than the first line names")
        table = table.reset_index().set_axis([*table.columns, *[""] * count], axis=1).iloc[:, :-count]
    return table.rename(columns=lambda name: name.strip() if isinstance(name, str) else name)
