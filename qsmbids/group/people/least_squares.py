"""Least squares for many regions at once, with standard errors that allow unequal spread.

    b = (X'X)^-1 X'y,
    V = (X'X)^-1 X' diag(e_i^2 / (1 - h_i)^2) X (X'X)^-1

V is HC3 (MacKinnon and White 1985): every residual e is divided by what its own leverage
h = diag(X (X'X)^-1 X') has taken from it. It holds when patients vary more than controls or old
people more than young ones, which susceptibility does, and in small samples it errs on the
careful side (Long and Ervin 2000). Tests use Student's t with n - k degrees of freedom.

References
----------
MacKinnon JG, White H. J Econom 1985;29:305-325. https://doi.org/10.1016/0304-4076(85)90158-7
Long JS, Ervin LH. Am Stat 2000;54:217-224. https://doi.org/10.1080/00031305.2000.10474549
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FULL_LEVERAGE = 1e-8  # 1 - h below it: the scan is fitted exactly


@dataclass
class Fit:
    """Coefficients of some regions.

    Parameters
    ----------
    b : ndarray, shape (k, regions)
    covariance : ndarray, shape (regions, k, k)
    spread : ndarray, shape (regions,)
        Standard deviation between people that the model leaves.
    df : float
        Of the tests.
    within : ndarray, shape (regions,), optional
        Standard deviation between scans of one person, in models of repeated scans.
    """

    b: np.ndarray
    covariance: np.ndarray
    spread: np.ndarray
    df: float
    within: np.ndarray | None = None


def fit_least_squares(x: np.ndarray, y: np.ndarray) -> Fit:
    """Fit all regions by least squares with HC3 standard errors.

    Parameters
    ----------
    x : ndarray, shape (n, k)
        Full rank.
    y : ndarray, shape (n, regions)
        Without NaN.

    Returns
    -------
    Fit
        With NaN as covariance when one scan alone determines a coefficient: its residual is
        zero whatever it is, and nothing is known of its spread.
    """
    n, k = x.shape
    orthogonal, triangular = np.linalg.qr(x)
    inverse = np.linalg.inv(triangular)
    b = inverse @ (orthogonal.T @ y)
    residual = y - x @ b
    left = 1 - np.einsum('ij,ij->i', orthogonal, orthogonal)
    if left.min() < _FULL_LEVERAGE:
        covariance = np.full((y.shape[1], k, k), np.nan)
    else:
        weights = (residual / left[:, None]) ** 2
        influence = orthogonal @ inverse.T  # X (X'X)^-1
        pairs = influence[:, :, None] * influence[:, None, :]
        covariance = (pairs.reshape(n, -1).T @ weights).T.reshape(-1, k, k)
    spread = np.sqrt((residual**2).sum(axis=0) / (n - k))
    return Fit(b, covariance, spread, float(n - k))
