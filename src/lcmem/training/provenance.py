"""What a checkpoint was trained on."""

from typing import Any

from lcmem.pictures.manifest import Manifest


def training_data(manifest: Manifest) -> list[dict[str, Any]]:
    """Pictures and identities of each dataset, with the terms where the manifest has a column ``terms``."""
    rows = []
    for name, part in manifest.table.groupby("dataset"):
        known = part["identity"][part["identity"] != ""]
        row = {"dataset": name, "pictures": len(part), "identities": int(known.nunique())}
        if "terms" in part:
            row["terms"] = "; ".join(sorted(set(part["terms"].astype(str))))
        rows.append(row)
    return rows
