"""Figures of the generation experiments."""

from pathlib import Path

import numpy as np
import pandas as pd

from lcmem.files import write_plot


def plot_sizes(table: pd.DataFrame, target: Path) -> None:
    """Rate of samples and of held-out pictures by training-set size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, title in (("samples", "generated pictures"), ("holdout", "held-out real pictures")):
        errors = np.abs(table[[f"{name}_low", f"{name}_high"]].to_numpy().T - table[name].to_numpy()) * 100
        axes.errorbar(table["pictures"], 100 * table[name], errors, marker="o", capsize=3, label=title)
    axes.set(xlabel="training pictures", ylabel="match a training picture, %", xscale="log", ylim=(-2, 102))
    axes.set_xticks(table["pictures"], [f"{size:,}" for size in table["pictures"]], minor=False)
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)
    axes.legend()
    write_plot(figure, target)


def plot_near_duplicates(table: pd.DataFrame, target: Path) -> None:
    """Share that each detector flags by noise level: of training pictures, and beside them of held-out pictures."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    good = table[table["status"] == "ok"]
    titles = {"training": "made of training pictures: should be found", "holdout": "made of other pictures: should not"}
    for panel, (kind, title) in zip(panels, titles.items(), strict=True):
        for name, part in good[good["set"] == kind].groupby("detector", sort=False):
            own = part.sort_values("sigma")
            (line,) = panel.plot(own["sigma"], 100 * own["flagged"], marker="o", label=str(name))
            panel.fill_between(own["sigma"], 100 * own["low"], 100 * own["high"], color=line.get_color(), alpha=0.15)
        panel.set(title=title, xlabel="σ of the noise before denoising", xscale="log", ylim=(-2, 102))
        sigmas = sorted(good["sigma"].unique())
        panel.set_xticks(sigmas, [f"{sigma:g}" for sigma in sigmas])
        panel.set_xticks([], minor=True)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("flagged in %, calibrated for 1 %")
    if len(good):
        panels[0].legend(fontsize="small")
    write_plot(figure, target)
