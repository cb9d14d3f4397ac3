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
    axes.set(xlabel="training pictures", ylabel="match a training picture, %", xscale="log", ylim=(-2, None))
    axes.grid(alpha=0.3)
    axes.legend()
    write_plot(figure, target)


def plot_near_duplicates(table: pd.DataFrame, target: Path) -> None:
    """Share that each detector flags by noise level; dashed: of held-out pictures."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    good = table[table["status"] == "ok"]
    for number, (name, part) in enumerate(good.groupby("detector", sort=False)):
        for title, style in (("training", "-"), ("holdout", "--")):
            own = part[part["set"] == title].sort_values("sigma")
            label = str(name) if title == "training" else None
            axes.plot(own["sigma"], 100 * own["flagged"], style, color=f"C{number}", marker="o", label=label)
    axes.set(xlabel="σ of the noise", ylabel="flagged, % (dashed: of held-out pictures)", xscale="log", ylim=(-2, 102))
    axes.grid(alpha=0.3)
    if len(good):
        axes.legend(fontsize="small")
    write_plot(figure, target)
