"""Which curve: information criteria with weights, and tests against simpler curves.

Every family is fitted to the same people. With log-likelihood L, n people and k free parameters
(those of the spread included),

    AICc = -2 L + 2 k + 2 k (k + 1) / (n - k - 1),        BIC = -2 L + k log n,

and the weight of a family among those compared is exp(-d/2) / sum exp(-d/2), d the distance
from the lowest value: roughly the odds that this family predicts best (AICc) or is the true one
(BIC). Weights speak about the families that were tried, never about all that could be.

**Tests.** Against a simpler curve that is a special case, twice the difference of L follows
chi-squared with the difference of k as degrees of freedom (likelihood-ratio test, 'LRT'). With a
spread that is the same at all ages the exact small-sample form is used instead ('F'):

    F = ((exp(2 dL / n) - 1) (n - p) / dp,        p, dp: parameters of the mean.

The constant curve is a special case of every family. The straight line is one of the quadratic,
the cubic and the spline. It is no member of the exponential and the Poisson family, only their
limit for an infinitely slow change; there the difference of AICc is reported and no p value.
Against the constant, the p values of these two families are approximate, because their shape has
no meaning when there is no change (Davies 1977); docs/norms.md says how they behave.

References
----------
Burnham KP, Anderson DR. Multimodel inference: understanding AIC and BIC in model selection. Sociol
Methods Res 2004;33:261-304. https://doi.org/10.1177/0049124104268644
Davies RB. Hypothesis testing when a nuisance parameter is present only under the alternative.
Biometrika 1977;64:247-254. https://doi.org/10.1093/biomet/64.2.247
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.flags import fdr

if TYPE_CHECKING:
    from qsmbids.lifespan.fit import FittedCurve

__all__ = [
    'CRITERIA',
    'DEFAULT_FAMILIES',
    'Choice',
    'choose_curve',
    'compare',
    'fdr',
    'nested_test',
]

DEFAULT_FAMILIES = ('constant', 'linear', 'quadratic', 'exponential', 'poisson')
CRITERIA = ('aicc', 'bic')
SIMPLER = ('constant', 'linear')
# families that hold the simpler one as a special case
_CONTAIN = {
    'constant': ('linear', 'quadratic', 'cubic', 'exponential', 'poisson', 'spline'),
    'linear': ('quadratic', 'cubic', 'spline'),
}
_APPROXIMATE = {
    'exponential': 'the rate has no meaning without a change, so p is approximate',
    'poisson': 'the age of the extremum has no meaning without a change, so p is approximate',
    'spline': 'with the effective number of parameters, so p is approximate',
}


@dataclass(frozen=True)
class Choice:
    """The families that were compared for one region.

    Parameters
    ----------
    best : str
        Lowest criterion among the families whose parameters can be told from these ages, or
        among all if there is none.
    criterion : str
        ``'aicc'`` or ``'bic'``.
    table : tuple of dict
        For each family, best first: family, k, log_likelihood, aicc, delta_aicc, weight_aicc,
        bic, delta_bic, weight_bic, identifiable.
    tests : tuple of dict
        family, against, nested, kind ('LRT', 'F' or ''), statistic, df, p (NaN when not
        nested), delta_aicc (negative: better than the simpler curve) and remark.
    fits : dict of str to FittedCurve
        The best one with intervals.
    remarks : tuple of str
        Families that could not be fitted, and why.
    """

    best: str
    criterion: str
    table: tuple[dict[str, Any], ...]
    tests: tuple[dict[str, Any], ...]
    fits: dict[str, FittedCurve] = field(repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def fit(self) -> FittedCurve:
        """The best curve."""
        return self.fits[self.best]

    def p_against(self, simpler: str = 'constant') -> float:
        """Return the p value of the best curve against a simpler one, NaN without a test."""
        for test in self.tests:
            if test['family'] == self.best and test['against'] == simpler:
                return float(test['p'])
        return float('nan')


def choose_curve(
    age: ArrayLike,
    value: ArrayLike,
    families: Sequence[str] = DEFAULT_FAMILIES,
    *,
    criterion: str = 'aicc',
    robust: bool = False,
    spread: str = 'linear',
    intervals: bool = True,
) -> Choice:
    """Fit several families and choose between them.

    Parameters
    ----------
    age : array-like, years, shape (n,)
    value : array-like, ppm, shape (n,)
    families : sequence of str
        Names as in :mod:`qsmbids.lifespan.fit`; 'constant' and 'linear' are fitted in any case,
        because the tests need them, but take part in the choice only if they are named.
    criterion : str
        ``'aicc'`` or ``'bic'``.
    robust, spread
        As in ``fit_curve``. After a robust fit criteria and tests are approximate.
    intervals : bool
        Whether the best curve gets its intervals.

    Returns
    -------
    Choice

    Raises
    ------
    LifespanError
        If the criterion is unknown or no family can be fitted.
    """
    from qsmbids.lifespan.fit import fit_curve

    if criterion not in CRITERIA:
        raise LifespanError(
            f'"{criterion}" is no criterion to choose a curve by.',
            'Curves are compared by one number each.',
            f'Use one of: {", ".join(CRITERIA)}.',
        )
    wanted = tuple(dict.fromkeys(families))
    options = {'robust': robust, 'spread': spread}
    fits, remarks, last = {}, [], None
    for family in dict.fromkeys((*wanted, *SIMPLER)):
        try:
            fits[family] = fit_curve(age, value, family, intervals=False, **options)
        except LifespanError as error:
            last = error
            if family in wanted:
                remarks.append(f'{family}: {str(error).splitlines()[0]}')
    compared = [family for family in wanted if family in fits]
    if not compared:
        raise last or LifespanError(
            'No family of curves was named.', 'There is nothing to choose from.',
            f'Name at least one, for example {DEFAULT_FAMILIES[0]}.',
        )  # fmt: skip
    table = compare({family: fits[family] for family in compared}, criterion)
    told = [row['family'] for row in table if row['identifiable']]
    best = told[0] if told else table[0]['family']
    if intervals:
        fits[best] = fit_curve(age, value, best, intervals=True, **options)
    tests = [
        nested_test(fits[simpler], fits[family])
        for simpler in SIMPLER
        if simpler in fits
        for family in compared
        if family != simpler and fits[family].k > fits[simpler].k
    ]
    return Choice(best, criterion, table, tuple(tests), fits, tuple(remarks))


def compare(fits: dict[str, FittedCurve], criterion: str = 'aicc') -> tuple[dict[str, Any], ...]:
    """Return criteria and weights of curves fitted to the same people, best first."""
    names = list(fits)
    values = {c: np.array([getattr(fits[name], c) for name in names]) for c in CRITERIA}
    delta = {c: v - np.nanmin(v) for c, v in values.items()}
    relative = {c: np.exp(-0.5 * d) for c, d in delta.items()}
    weight = {c: np.nan_to_num(r) / np.nansum(r) for c, r in relative.items()}
    rows = []
    for i, name in enumerate(names):
        fit = fits[name]
        row = {'family': name, 'k': fit.k, 'log_likelihood': fit.log_likelihood}
        for c in CRITERIA:
            row |= {
                c: float(values[c][i]),
                f'delta_{c}': float(delta[c][i]),
                f'weight_{c}': float(weight[c][i]),
            }
        rows.append(row | {'identifiable': bool(fit.identifiable)})
    return tuple(sorted(rows, key=lambda row: np.nan_to_num(row[criterion], nan=np.inf)))


def nested_test(simpler: FittedCurve, fit: FittedCurve) -> dict[str, Any]:
    """Test a curve against a simpler one fitted to the same people.

    Returns
    -------
    dict
        As in :attr:`Choice.tests`.
    """
    from scipy import stats

    row = {
        'family': fit.family,
        'against': simpler.family,
        'nested': fit.family in _CONTAIN.get(simpler.family, ()),
        'kind': '',
        'statistic': float('nan'),
        'df': float(fit.k - simpler.k),
        'p': float('nan'),
        'delta_aicc': float(fit.aicc - simpler.aicc),
        'remark': _APPROXIMATE.get(fit.family, ''),
    }
    if not row['nested']:
        row['remark'] = (
            f'{simpler.family} is no special case of {fit.family}: compared by AICc only'
        )
        return row
    gain = max(2 * (fit.log_likelihood - simpler.log_likelihood), 0.0)
    if fit.spread.s1 == 0 and simpler.spread.s1 == 0:
        left = max(fit.n - (fit.k - 1), 1)  # one parameter belongs to the spread
        statistic = np.expm1(gain / fit.n) * left / row['df']
        p = stats.f.sf(statistic, row['df'], left)
        return row | {'kind': 'F', 'statistic': float(statistic), 'p': float(p)}
    return row | {'kind': 'LRT', 'statistic': gain, 'p': float(stats.chi2.sf(gain, row['df']))}
