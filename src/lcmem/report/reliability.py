"""Do probabilities mean what they say? A plot."""

from pathlib import Path

from lcmem.files import write_plot
from lcmem.stats.probability import ProbabilityFit


def plot_probabilities(fit: ProbabilityFit, target: Path) -> None:
    """Share of pairs that show one identity, by stated probability: of the model's own and of the fitted ones."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 1), (0, 1), color="#7f8c8d", lw=1, ls=":")
    for name, curve in (("of the model", fit.before), ("fitted, on identities left out", fit.after)):
        if curve is not None:
            axes.plot(curve.probability, curve.share, "o-", ms=4, lw=1, label=f"{name} (error {curve.error:.3f})")
    axes.set(xlabel="stated probability", ylabel="share of pairs of one identity", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=9)
    write_plot(figure, target)
