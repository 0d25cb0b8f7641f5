"""The area under the ROC curve with DeLong's interval, and a cut-off tested on others.

With m cases x and n controls z,

    AUC = mean over all pairs of [x > z] + [x = z] / 2,

the probability that a case has the higher value. Its variance (DeLong 1988) comes from how much
each person's share of pairs, V, varies,

    var = var(V_case) / m + var(V_control) / n,

with the shares from mid-ranks instead of all pairs (Sun and Xu 2014). The interval is taken on
the logit scale, so that it stays between 0 and 1.

The cut-off is that of Youden (1950): largest sensitivity + specificity - 1. Chosen and judged
on the same people it flatters itself; so it is also chosen on nine tenths of them and judged on
the others, in turn.

References
----------
DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more correlated
receiver operating characteristic curves. Biometrics 1988;44:837-845.
https://doi.org/10.2307/2531595
Sun X, Xu W. IEEE Signal Process Lett 2014;21:1389-1393. https://doi.org/10.1109/LSP.2014.2337313
Youden WJ. Index for rating diagnostic tests. Cancer 1950;3:32-35.
"""

from __future__ import annotations

import numpy as np

from qsmbids.group.people.effects import LEVEL

FOLDS = 10


def area(cases: np.ndarray, controls: np.ndarray) -> tuple[float, float, float, float]:
    """Return the AUC with its 95 % interval and the p value against 0.5.

    Parameters
    ----------
    cases, controls : ndarray, shapes (m,), (n,)
        At least two of each. Above 0.5: cases have the higher values.

    Returns
    -------
    auc, low, high, p : float
        p of the Mann-Whitney test. With perfect separation DeLong's variance is zero and the
        open end of the interval is where the AUC would be if one more person of each group
        stood on the wrong side.

    Examples
    --------
    >>> import numpy as np
    >>> auc, low, high, p = area(np.arange(5.0) + 2, np.arange(5.0))
    >>> round(auc, 2), low < auc < high
    (0.82, True)
    """
    from scipy.special import expit, logit, ndtri
    from scipy.stats import mannwhitneyu

    m, n = len(cases), len(controls)
    auc, variance = _delong(cases, controls)
    p = float(mannwhitneyu(cases, controls, alternative='two-sided').pvalue)
    z = float(ndtri(0.5 + LEVEL / 2))
    if variance > 0 and 0 < auc < 1:
        half = z * np.sqrt(variance) / (auc * (1 - auc))
        return auc, float(expit(logit(auc) - half)), float(expit(logit(auc) + half)), p
    if variance == 0 and auc in (0.0, 1.0):
        # one more case that stands among the controls, and the reverse
        worse = m * n / ((m + 1) * (n + 1))
        return (auc, worse, 1.0, p) if auc == 1.0 else (auc, 0.0, 1 - worse, p)
    return auc, np.nan, np.nan, p  # everybody has the same value


def youden(cases: np.ndarray, controls: np.ndarray, *, higher: bool) -> float:
    """Return the cut-off with the largest sensitivity + specificity - 1.

    Parameters
    ----------
    higher : bool
        Whether values above the cut-off speak for a case.

    Returns
    -------
    float
        Halfway between two neighbouring values; of several equally good cut-offs the middle
        one.
    """
    sign = 1.0 if higher else -1.0
    values = np.unique(np.concatenate([cases, controls]))
    if len(values) < 2:
        return float(values[0])
    cuts = sign * (values[1:] + values[:-1]) / 2
    cuts.sort()
    above = 1 - np.searchsorted(np.sort(sign * cases), cuts, side='right') / len(cases)
    below = np.searchsorted(np.sort(sign * controls), cuts, side='right') / len(controls)
    score = above + below
    best = np.flatnonzero(score >= score.max() - 1e-12)
    return float(sign * cuts[best[len(best) // 2]])


def performance(
    cases: np.ndarray, controls: np.ndarray, cut: float, *, higher: bool
) -> tuple[int, int]:
    """Return how many cases and how many controls a cut-off tells right."""
    if higher:
        return int((cases > cut).sum()), int((controls <= cut).sum())
    return int((cases < cut).sum()), int((controls >= cut).sum())


def cross_validated(
    cases: np.ndarray, controls: np.ndarray, *, repeats: int
) -> tuple[float, float]:
    """Return sensitivity and specificity in people the cut-off was not chosen on.

    Parameters
    ----------
    repeats : int
        How often the people are dealt into ten parts (fewer in small groups), always in the
        same way: the generator has a fixed seed. Direction and cut-off are chosen without the
        part that is judged.
    """
    parts = min(FOLDS, len(cases), len(controls))
    if parts < 2:
        return np.nan, np.nan
    generator = np.random.default_rng(0)
    right = np.zeros(2)
    for _ in range(repeats):
        of_case = generator.permutation(np.arange(len(cases)) % parts)
        of_control = generator.permutation(np.arange(len(controls)) % parts)
        for part in range(parts):
            a, b = cases[of_case != part], controls[of_control != part]
            higher = _higher(a, b)
            cut = youden(a, b, higher=higher)
            right += performance(
                cases[of_case == part], controls[of_control == part], cut, higher=higher
            )
    return right[0] / (repeats * len(cases)), right[1] / (repeats * len(controls))


def _higher(cases: np.ndarray, controls: np.ndarray) -> bool:
    """Return whether the AUC is at least 0.5, counting pairs without ranks."""
    controls = np.sort(controls)
    wins = np.searchsorted(controls, cases, 'left') + np.searchsorted(controls, cases, 'right')
    return bool(wins.mean() >= len(controls))


def _delong(cases: np.ndarray, controls: np.ndarray) -> tuple[float, float]:
    """Return the AUC and its variance."""
    from scipy.stats import rankdata

    m, n = len(cases), len(controls)
    together = rankdata(np.concatenate([cases, controls]))
    of_cases = (together[:m] - rankdata(cases)) / n
    of_controls = 1 - (together[m:] - rankdata(controls)) / m
    variance = np.nan
    if m > 1 and n > 1:
        variance = of_cases.var(ddof=1) / m + of_controls.var(ddof=1) / n
    return float(of_cases.mean()), float(variance)
