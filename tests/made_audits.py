"""Results of audits of any size without an audit: faces under made-up names and scores."""

import os

import numpy as np
import pandas as pd
from PIL import Image

from lcmem.jobs.audit.result import AuditResult
from lcmem.stats.calibration import Calibration
from lcmem.stats.rates import excess, proportion

NASTY = "<img src=x onerror=alert(1)>&quot;'\"</script><script>alert(2)</script>"
"""A name that tries to get out of wherever it is put."""


def linked_pictures(faces, folder, kind, count, side):
    """Paths of ``count`` files that share the data of 40 faces."""
    (folder / kind).mkdir(parents=True)
    paths = []
    for at in range(count):
        path = folder / kind / f"{at:06d}.jpg"
        if at < 40:
            Image.open(faces / f"s{at + 1}" / "1.pgm").resize((side, side)).save(path, quality=95)
        else:
            os.link(paths[at % 40], path)
        paths.append(str(path))
    return paths


def made_audit(faces, folder, *, count, matches, side=128):
    """An audit of ``count`` synthetic pictures of which the first ``matches`` match, a third of them as copies."""
    synthetic = linked_pictures(faces, folder, "synthetic", count, side)
    real = linked_pictures(faces, folder, "real", max(matches, 40), side)
    at = np.arange(count)
    verdict = np.select([at < matches // 3, at < matches], ["copy", "same identity"], "no match")
    table = pd.DataFrame(
        {
            "synthetic": synthetic,
            "real": [real[number % len(real)] for number in at],
            "identity": [f"person {number % 7}" for number in at],
            "dataset": "",
            "logit": np.linspace(14, -3, count),
            "probability": 0.9,
            "rank": 1,
            "p_value": np.linspace(0.001, 1, count),
            "q_value": np.linspace(0.01, 1, count),
            "grade": np.where((at >= matches) & (at < matches + 2), "close", verdict),
            "match": at < matches,
            "verdict": verdict,
            "found_by": np.where(at == 1, "looks", np.where(at < matches, "score", "")),
        }
    )
    rates = [proportion(number, count) for number in (matches, matches // 3)]
    holdout = proportion(1, 100)
    return AuditResult(
        matches=table,
        calibration=Calibration(5.0, 0.01, 0.02, "identities", "Made up."),
        memorization=rates[0],
        copies=rates[1],
        holdout=holdout,
        excess=excess(rates[0], holdout),
        twins=pd.DataFrame(columns=["kind", "path", "identity", "other", "other_identity"]),
        skipped=pd.DataFrame([("real", "a.png", "broken")], columns=["set", "path", "reason"]),
        scores={"synthetic": table["logit"].to_numpy(), "holdout": np.linspace(-3, 5.1, 100)},
        about={
            "n_real": len(real), "n_real_identities": 7, "model": "compact", "model_fingerprint": "ab" * 32,
            "score": "logit", "encoder": None, "encoder_sha256": None, "hint": None, "pictures_encoded": 0,
            "pictures_reused": 0, "pictures_per_second": None, "copy_threshold_logit": 6.0,
            "copy_method": "edited copies", "notes": [], "seconds": 1.0, "date": "2030-01-01T00:00:00+00:00",
            "versions": {"lcmem": "1"}, "fingerprints": {"real": "ab" * 32, "synthetic": "cd" * 32},
        },
    )  # fmt: skip
