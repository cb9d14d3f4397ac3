"""Measured values of any range become grey values in [0, 1]."""

import numpy as np

HOUNSFIELD_WINDOW = (-1000.0, 400.0)
"""Black is air, white is contrast-filled vessels and bone. It shows lungs and soft tissue in one picture, where a lung
window (-1350…150) loses the mediastinum and a soft-tissue window (-160…240) loses the lungs."""
AIR_BELOW = -500.0
"""Nothing but computed tomography measures many values below this: magnitudes of other scanners are not negative."""
AIR_SHARE = 0.001
"""Share of a volume's voxels below that from which they are air, and not a broken voxel or two."""
PERCENTILES = (0.5, 99.5)


def intensity_to_grey(values: np.ndarray, hounsfield: bool) -> np.ndarray:
    """Choose black and white where the file does not say.

    Args:
        values: ``[H, W]`` numbers in any unit.
        hounsfield: Whether they are Hounsfield units. All slices of a volume are treated alike, those without air too.

    Returns:
        ``[H, W]`` in [0, 1]: Hounsfield units through ``HOUNSFIELD_WINDOW``, everything else stretched.
    """
    return window(values, *HOUNSFIELD_WINDOW) if hounsfield else stretch(values)


def window(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """``[H, W]`` to [0, 1], linear between black and white; NaN is black."""
    finite = np.nan_to_num(values.astype(np.float64), nan=black, posinf=white, neginf=black)
    scaled = (finite - black) / (white - black)
    return np.clip(scaled, 0, 1).astype(np.float32)


def stretch(values: np.ndarray) -> np.ndarray:
    """``[H, W]`` to [0, 1] between two percentiles; a constant picture is black.

    Between minimum and maximum, one burnt-in letter or dead pixel would leave the anatomy in a few grey values.
    """
    finite = values[np.isfinite(values)]
    black, white = np.percentile(finite, PERCENTILES) if finite.size else (0.0, 0.0)
    if black == white and finite.size:  # a thin bright object on a constant background lies above both percentiles
        black, white = float(finite.min()), float(finite.max())
    return window(values, black, white) if black < white else np.zeros(values.shape, np.float32)
