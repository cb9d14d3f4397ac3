"""Who is at risk: by identity, by group, by conditioning label, by training picture."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from lcmem.files import write_table
from lcmem.matching.matches import first_matches
from lcmem.matching.verdicts import COPY
from lcmem.pictures.hints import names_people
from lcmem.pictures.manifest import Manifest
from lcmem.stats.rates import proportion, rate_of

VALUES = 50
"""A column with more different values names no groups."""
HIT = ["identity", "pictures", "synthetic", "copies", "highest"]
GROUPS = ["column", "value", "pictures", "identities", "hit", "share", "low", "high"]
LABELS = ["column", "value", "pictures", "matched", "share", "low", "high"]
PICTURES = ["path", "identity", "synthetic", "copies", "highest", "times"]
DUPLICATES = ["group", "path", "identity", "synthetic"]


@dataclass(frozen=True)
class Risk:
    """Tables of an audit, each written to ``risk-NAME.csv``.

    Attributes:
        identities: Real identities that are matched, those by most synthetic pictures first: ``identity, pictures,
            synthetic, copies, highest`` (its pictures, synthetic pictures that match one of them, copies among these,
            the highest score). A picture of nobody known goes by its path.
        groups: For each group column of the real manifest (such as sex, site or label) and each of its values
            ``pictures``, ``identities`` and how many of these are ``hit``, with the interval of their ``share``.
        labels: For each such column of the synthetic manifest (what pictures were conditioned on) ``pictures`` and how
            many of them are ``matched``, with the interval of the share.
        pictures: Training pictures that are matched, those by most synthetic pictures first: ``path, identity,
            synthetic, copies, highest, times`` (how often the picture is in the training set, its copies included).
        duplicates: Training pictures that are there several times: ``group, path, identity, synthetic``.
    """

    identities: pd.DataFrame
    groups: pd.DataFrame
    labels: pd.DataFrame
    pictures: pd.DataFrame
    duplicates: pd.DataFrame

    def save(self, folder: Path) -> None:
        """Write the tables."""
        for each in fields(self):
            write_table(getattr(self, each.name), folder / f"risk-{each.name}.csv")

    @classmethod
    def load(cls, folder: Path) -> "Risk":
        """Read what :meth:`save` wrote."""
        names = dict.fromkeys(("identity", "value", "path", "column"), str)
        tables = (folder / f"risk-{each.name}.csv" for each in fields(cls))
        return cls(*(pd.read_csv(table, dtype=names, keep_default_na=False) for table in tables))


def measure_risk(
    matches: pd.DataFrame, real: Manifest, synthetic: Manifest, copies: np.ndarray, clusters: np.ndarray
) -> Risk:
    """The tables.

    A synthetic picture hits all real ones that it matches, not only the first.

    Args:
        matches: Of an audit, see :class:`lcmem.jobs.audit.result.AuditResult`.
        real: N training pictures.
        synthetic: The generated ones, in the order of the matches.
        copies: Group of copies of each training picture, ``[N]``.
        clusters: Cluster of each synthetic picture, see :func:`lcmem.matching.matches.match_clusters`.
    """
    owner = pd.Series(real.identities, index=real.paths).str.removeprefix("\0")
    hits = matches[matches["match"]]
    hits = hits.assign(who=owner.reindex(hits["real"]).to_numpy(), copied=hits["verdict"] == COPY)
    times = pd.Series(copies).map(pd.Series(copies).value_counts()).to_numpy()
    table = real.table[["path", "identity"]].assign(times=times, group=copies)
    by_path = _hit(hits, "real").rename_axis("path").reset_index()
    pictures = by_path.merge(table, on="path")[PICTURES]
    people = _hit(hits, "who").rename_axis("identity").reset_index()
    people = people.assign(pictures=people["identity"].map(owner.value_counts()))[HIT]
    return Risk(
        identities=people,
        groups=_groups(real, owner, set(hits["who"])),
        labels=_labels(synthetic, matches, clusters),
        pictures=pictures,
        duplicates=_duplicates(table, by_path),
    )


def _hit(hits: pd.DataFrame, column: str) -> pd.DataFrame:
    """How many synthetic pictures match each value of a column, and how many of these are copies; most first."""
    pairs = hits.groupby([column, "synthetic"]).agg(copied=("copied", "any"), logit=("logit", "max")).reset_index()
    found = pairs.groupby(column).agg(
        synthetic=("synthetic", "size"), copies=("copied", "sum"), highest=("logit", "max")
    )
    return found.sort_values(["synthetic", "highest"], ascending=False, kind="stable")


OWN = 0.9
"""Share of people from which a column names them rather than groups."""


def group_columns(manifest: Manifest) -> list[str]:
    """Columns that name groups: those beside path and identity with few, but several, values that come again.

    Paths are no groups, nor are people by another name: a column of patients beside their numbers, or one that is
    called so.
    """
    table = manifest.table
    names = [str(name) for name in table if name not in ("path", "identity") and not names_people(str(name))]
    values = {name: table[name].astype(str) for name in names}
    counts = {name: found.nunique() for name, found in values.items()}
    few = [name for name in names if 1 < counts[name] <= min(VALUES, len(table) // 2)]
    return [name for name in few if not _paths(values[name]) and not _people(values[name], table["identity"])]


def _paths(values: pd.Series) -> bool:
    """Whether most values lead to a file."""
    return bool(values.str.contains(r"[/\\]|\.[A-Za-z]\w{1,4}$", regex=True).mean() > 0.5)


def _people(values: pd.Series, identity: pd.Series) -> bool:
    """Whether nearly every known identity has a value of its own."""
    known = identity != ""
    pairs = pd.DataFrame({"value": values[known], "identity": identity[known]}).drop_duplicates()
    people = pairs["identity"].nunique()
    return people > 2 and pairs["value"].nunique() >= OWN * people and len(pairs) * OWN <= people


def _groups(real: Manifest, owner: pd.Series, hit: set[str]) -> pd.DataFrame:
    rows = []
    for column in group_columns(real):
        for value, part in owner.groupby(real.table[column].astype(str).to_numpy()):
            people = set(part)
            rate = proportion(len(people & hit), len(people))
            rows.append((column, value, len(part), rate.total, rate.count, rate.value, rate.low, rate.high))
    return pd.DataFrame(rows, columns=GROUPS)


def _labels(synthetic: Manifest, matches: pd.DataFrame, clusters: np.ndarray) -> pd.DataFrame:
    matched, rows = first_matches(matches)["match"].to_numpy(), []
    for column in group_columns(synthetic):
        values = synthetic.table[column].astype(str).to_numpy()
        for value in np.unique(values):
            here = values == value
            rate = rate_of(matched[here], clusters[here])
            rows.append((column, value, rate.total, rate.count, rate.value, rate.low, rate.high))
    return pd.DataFrame(rows, columns=LABELS)


def _duplicates(table: pd.DataFrame, by_path: pd.DataFrame) -> pd.DataFrame:
    several = table[table["times"] > 1].merge(by_path[["path", "synthetic"]], on="path", how="left")
    several = several.sort_values("group", kind="stable")
    numbers = pd.factorize(several["group"])[0] + 1
    return several.assign(group=numbers, synthetic=several["synthetic"].fillna(0).astype(int))[DUPLICATES]
