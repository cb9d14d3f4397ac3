"""Plots for the report."""

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lcmem.jobs.audit_result import AuditResult

COLOURS = {"synthetic": "#c0392b", "holdout": "#2471a3", "chance": "#7f8c8d"}
LABELS = {
    "synthetic": "synthetic pictures",
    "holdout": "holdout pictures (never seen by the generator)",
    "chance": "real pictures against other identities",
}


def score_distributions(result: "AuditResult") -> str:
    """Best logit of every picture of every set, with the threshold, as an SVG element."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    finite = {name: values[np.isfinite(values)] for name, values in result.scores.items()}
    everything = np.concatenate(list(finite.values()))
    threshold = result.calibration.logit
    edges = np.histogram_bin_edges(everything, bins=60).tolist()
    for name in ("chance", "holdout", "synthetic"):
        if name in finite and len(finite[name]):
            weights = np.full(len(finite[name]), 1 / len(finite[name]))
            axes.hist(finite[name], edges, weights=weights, color=COLOURS[name], alpha=0.25)
            axes.hist(
                finite[name], edges, weights=weights, color=COLOURS[name], histtype="step", lw=1.5, label=LABELS[name]
            )
    if np.isfinite(threshold):
        axes.axvline(threshold, color="black", lw=1.2, ls="--", label="threshold (same identity)")
    axes.set_xlabel(f"{result.about.get('score', 'logit')} of the best match (right: more alike)")
    axes.set_ylabel("share of pictures")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue().partition("<svg")[1] + buffer.getvalue().partition("<svg")[2]
