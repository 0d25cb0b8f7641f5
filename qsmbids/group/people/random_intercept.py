"""Repeated scans: every person has a level of their own.

    y_ij = x_ij b + u_i + e_ij,    u_i ~ N(0, s_u^2),  e_ij ~ N(0, s_e^2)

Two scans of one person are not two people. The random intercept u says how far a person lies
from what the model expects, in all sessions alike (Laird and Ware 1982). With the ratio
t = s_u^2 / s_e^2, and sums S over the n_i scans of person i,

    X'V^-1 X = X'X - sum_i t / (1 + n_i t) S_i(x) S_i(x)',

so only one number has to be found: t maximises the restricted likelihood, a curve over
t / (1 + t) from 0 (scans are as different as people) to 1, searched between bounds by scipy. It
cannot fail to converge, and 150 regions take as long as one does in a general program for mixed
models; the tests compare the two. Persons without a second scan stay in.

Degrees of freedom of the tests are the number of people minus coefficients: for what differs
between people that is right, for what changes within them it is on the careful side.

References
----------
Laird NM, Ware JH. Random-effects models for longitudinal data. Biometrics 1982;38:963-974.
https://doi.org/10.2307/2529876
"""

from __future__ import annotations

import numpy as np

from qsmbids.group.people.least_squares import Fit

_MAX_SHARE = 0.9999  # of the variance that lies between people


def fit_random_intercept(x: np.ndarray, y: np.ndarray, people: np.ndarray) -> Fit:
    """Fit all regions by restricted maximum likelihood.

    Parameters
    ----------
    x : ndarray, shape (n, k)
        Full rank.
    y : ndarray, shape (n, regions)
        Without NaN.
    people : ndarray of str, shape (n,)
        Whose scan each row is.

    Returns
    -------
    Fit
        ``spread`` is sqrt(s_u^2 + s_e^2), ``within`` is s_e.
    """
    from scipy.optimize import minimize_scalar

    n, k = x.shape
    _, codes = np.unique(people, return_inverse=True)
    scans = np.bincount(codes)
    middle = y.mean(axis=0)
    y = y - middle  # sums of squares of large numbers lose digits
    model = _Sums(x, y, codes, scans)
    b, spread, within = np.empty((k, y.shape[1])), np.empty(y.shape[1]), np.empty(y.shape[1])
    covariance = np.empty((y.shape[1], k, k))
    for region in range(y.shape[1]):
        found = minimize_scalar(
            model.deviance,
            bounds=(0, _MAX_SHARE),
            args=(region,),
            method='bounded',
            options={'xatol': 1e-7},
        )
        share = float(found.x)
        if model.deviance(0.0, region) <= found.fun:
            share = 0.0
        b[:, region], inverse, _, rss = model.solve(share, region)
        variance = rss / (n - k)
        covariance[region] = variance * inverse
        within[region] = np.sqrt(variance)
        spread[region] = np.sqrt(variance / (1 - share))
    constant = np.linalg.lstsq(x, np.ones(n), rcond=None)[0]
    return Fit(b + np.outer(constant, middle), covariance, spread, float(len(scans) - k), within)


class _Sums:
    """The sums over people from which every step of the search is made."""

    def __init__(self, x: np.ndarray, y: np.ndarray, codes: np.ndarray, scans: np.ndarray) -> None:
        order = np.argsort(codes, kind='stable')
        starts = np.concatenate([[0], np.cumsum(scans)[:-1]])
        of_x = np.add.reduceat(x[order], starts, axis=0)
        of_y = np.add.reduceat(y[order], starts, axis=0)
        self.n, self.k = x.shape
        self.xx, self.xy, self.yy = x.T @ x, x.T @ y, np.einsum('ij,ij->j', y, y)
        self.sizes, self.counts = np.unique(scans, return_counts=True)
        members = [scans == size for size in self.sizes]
        self.sxx = np.array([of_x[m].T @ of_x[m] for m in members])
        self.sxy = np.array([of_x[m].T @ of_y[m] for m in members])
        self.syy = np.array([np.einsum('ij,ij->j', of_y[m], of_y[m]) for m in members])

    def solve(self, share: float, region: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Return b, (X'V^-1 X)^-1, X'V^-1 X and the residual sum of squares."""
        ratio = share / (1 - share)
        weights = ratio / (1 + self.sizes * ratio)
        xx = self.xx - np.tensordot(weights, self.sxx, 1)
        xy = self.xy[:, region] - weights @ self.sxy[:, :, region]
        yy = self.yy[region] - weights @ self.syy[:, region]
        inverse = np.linalg.inv(xx)
        b = inverse @ xy
        return b, inverse, xx, max(float(yy - b @ xy), np.finfo(float).tiny)

    def deviance(self, share: float, region: int) -> float:
        """Return minus twice the restricted log-likelihood, up to a constant."""
        _, _, xx, rss = self.solve(share, region)
        ratio = share / (1 - share)
        spread = self.counts @ np.log1p(self.sizes * ratio)
        return (self.n - self.k) * np.log(rss) + spread + np.linalg.slogdet(xx)[1]
