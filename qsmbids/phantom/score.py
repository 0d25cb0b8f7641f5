"""How close a reconstruction comes to the truth, region by region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """Recovered against true mean susceptibility of regions.

    Parameters
    ----------
    names : tuple of str
        Regions that have both values.
    true_ppm, recovered_ppm : (n,) arrays
        With the same reference.
    slope, intercept_ppm : float
        Of the least-squares line recovered = slope * true + intercept.
    mean_absolute_error_ppm : float
    """

    names: tuple[str, ...]
    true_ppm: np.ndarray
    recovered_ppm: np.ndarray
    slope: float
    intercept_ppm: float
    mean_absolute_error_ppm: float


def score_regions(
    recovered: Mapping[str, float],
    true: Mapping[str, float],
    true_reference_ppm: float,
    names: Sequence[str],
) -> Score:
    """Compare regional means.

    Parameters
    ----------
    recovered : mapping of str to float, ppm
        Referenced map.
    true : mapping of str to float, ppm
        Truth on whatever reference.
    true_reference_ppm : float, ppm
        Mean of the truth over the reference region of the recovered map; subtracted.
    names : sequence of str
        Regions to compare. One without a recovered or true value is left out.

    Returns
    -------
    Score

    Raises
    ------
    ValueError
        If fewer than three regions can be compared.

    Examples
    --------
    >>> truth = {'a': 0.0, 'b': 0.1, 'c': 0.2}
    >>> score = score_regions({k: 0.9 * v for k, v in truth.items()}, truth, 0.0, 'abc')
    >>> round(score.slope, 3), round(score.mean_absolute_error_ppm, 3)
    (0.9, 0.01)
    """
    kept = [n for n in names if np.isfinite([recovered.get(n, np.nan), true.get(n, np.nan)]).all()]
    if len(kept) < 3:
        raise ValueError(
            f'Only {len(kept)} regions can be compared with the truth.\n'
            'A line needs at least three.\n'
            'Look at the coverage column of the region table.'
        )
    x = np.array([true[n] for n in kept]) - true_reference_ppm
    y = np.array([recovered[n] for n in kept])
    slope, intercept = np.polyfit(x, y, 1)
    error = float(np.abs(y - x).mean())
    return Score(tuple(kept), x, y, float(slope), float(intercept), error)
