"""Plots of the report, as SVG elements whose colours the page's style sheet sets."""

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lcmem.jobs.audit.result import AuditResult

LABELS = {
    "chance": "real pictures against other identities",
    "holdout": "holdout pictures (never seen by the generator)",
    "synthetic": "synthetic pictures",
}
WIDTH, HEIGHT, LEFT, BOTTOM, BINS = 720, 260, 46, 42, 60


def score_distributions(result: "AuditResult") -> str:
    """Best score of every picture of every set, with the threshold: an SVG element with a legend above it."""
    sets = {name: result.scores[name] for name in LABELS if name in result.scores}
    finite = {name: values[np.isfinite(values)] for name, values in sets.items()}
    finite = {name: values for name, values in finite.items() if len(values)}
    thresholds = sorted({*result.calibration.by_kind.values()} or {result.calibration.logit})
    thresholds = [level for level in thresholds if np.isfinite(level)]
    known = np.concatenate([*finite.values(), thresholds])
    edges = np.histogram_bin_edges(known, bins=BINS)
    shares = {name: np.histogram(values, edges)[0] / len(values) for name, values in finite.items()}
    plot = _Plot(edges, max(float(share.max()) for share in shares.values()))
    parts = [plot.steps(name, share) for name, share in shares.items()]
    parts += [plot.axes(f"{result.about.get('score', 'logit')} of the best match (right: more alike)")]
    legend = [(name, LABELS[name]) for name in shares]
    parts += map(plot.line, thresholds)
    if thresholds:
        legend.append(("threshold", "threshold (same identity)" + ", of each dataset" * (len(thresholds) > 1)))
    items = "".join(f'<li class="{name}">{escape(text)}</li>' for name, text in legend)
    label = "Histogram: " + ", ".join(text for _, text in legend)
    body = "".join(parts)
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{body}</svg>'
    return f'<ul class="legend">{items}</ul>{svg}'


class _Plot:
    """Places of values in a plot whose x axis runs over edges and whose y axis from 0 to ``top``."""

    def __init__(self, edges: np.ndarray, top: float) -> None:
        self.edges, self.top = edges, top

    def x(self, value: float) -> float:
        low, high = self.edges[0], self.edges[-1]
        return LEFT + (WIDTH - LEFT - 10) * float((value - low) / (high - low))

    def y(self, share: float) -> float:
        return 8 + (HEIGHT - BOTTOM - 8) * (1 - share / self.top)

    def steps(self, name: str, shares: np.ndarray) -> str:
        """The outline of a histogram."""
        xs, ys = np.repeat(self.edges, 2)[1:-1], np.repeat(shares, 2)
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        ends = f"{self.x(self.edges[0]):.1f},{self.y(0):.1f}", f"{self.x(self.edges[-1]):.1f},{self.y(0):.1f}"
        return f'<polygon class="{name}" points="{ends[0]} {points} {ends[1]}"/>'

    def line(self, value: float) -> str:
        """A vertical line."""
        at = f"{self.x(value):.1f}"
        return f'<line class="threshold" x1="{at}" x2="{at}" y1="8" y2="{self.y(0):.1f}"/>'

    def axes(self, title: str) -> str:
        """Both axes with a few numbers."""
        from matplotlib.ticker import MaxNLocator  # round numbers

        base = self.y(0)
        parts = [f'<path class="axis" d="M{LEFT} 8V{base:.1f}H{WIDTH - 10}"/>']
        for value in MaxNLocator(8).tick_values(self.edges[0], self.edges[-1]):
            if self.edges[0] <= value <= self.edges[-1]:
                parts.append(f'<text x="{self.x(value):.1f}" y="{base + 15:.1f}" text-anchor="middle">{value:g}</text>')
        for share in MaxNLocator(4).tick_values(0, self.top):
            if 0 <= share <= self.top:
                parts.append(
                    f'<text x="{LEFT - 5}" y="{self.y(share) + 4:.1f}" text-anchor="end">{100 * share:.3g} %</text>'
                )
        middle = (LEFT + WIDTH) / 2
        parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(title)}</text>')
        return "".join(parts)
