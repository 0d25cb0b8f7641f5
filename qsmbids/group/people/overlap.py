"""Whether sites can be told apart from what is to be compared across them.

A site can be corrected for only where the groups meet: some of each group at the same site, and
people of the same ages at different sites. Three findings refuse the correction:

* the columns of sites and of the model are linearly dependent (rank);
* fewer than two sites have more than one group, or the association of sites and groups,
  Cramer's V = sqrt(chi2 / (n (min(sites, groups) - 1))), is above 0.8;
* the ages of a site do not overlap with those of all others, or sites explain more than 80 %
  of their variance.

The limits are choices of this program: they refuse where the correction would rest on the
model rather than on people.
"""

from __future__ import annotations

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.people.covariates import Covariate, names
from qsmbids.group.people.design import Design
from qsmbids.group.problems import Problem

MIN_AT_SITE = 5
MAX_ASSOCIATION = 0.8
_DO = 'Compare within each site, or scan some of every group at every site.'


def check_overlap(design: Design, sites: np.ndarray, column: str) -> list[Problem]:
    """Refuse sites that cannot be told apart from a column of the model.

    Parameters
    ----------
    design : Design
    sites : ndarray of str, shape (n,)
    column : str
        Its name, for the sentences.

    Returns
    -------
    list of Problem
        Sites with one group only, while others have several.

    Raises
    ------
    GroupError
    """
    counts = people_at(design.people, sites)
    if len(counts) < 2:
        raise GroupError(
            f'All usable scans have the same {column}.',
            'There is nothing to harmonise with one site.',
            'Leave out --harmonize, or name the column that tells the sites apart.',
        )
    small = [f'{site} ({n})' for site, n in counts.items() if n < MIN_AT_SITE]
    if small:
        raise GroupError(
            f'Too few people at {column} {", ".join(small)}.',
            f'Shift and scale of a site cannot be known from fewer than {MIN_AT_SITE} people.',
            'Leave these sites out (--participant-label), or join sites with the same scanner '
            'and protocol.',
        )
    problems: list[Problem] = []
    for one in design.covariates.values():
        if one.is_number:
            _check_number(one, sites, column)
        else:
            problems += _check_groups(one, sites, column)
    dummies = (sites[:, None] == np.unique(sites)).astype(float)
    full = np.hstack([dummies, design.matrix[:, 1:]])
    if np.linalg.matrix_rank(full / np.linalg.norm(full, axis=0)) < full.shape[1]:
        raise GroupError(
            f'{column} cannot be told apart from {", ".join(design.terms)}.',
            'A harmonisation would remove what the model asks for, or invent it.',
            _DO,
        )
    return problems


def people_at(people: np.ndarray, sites: np.ndarray) -> dict[str, int]:
    """Return the number of different people at each site."""
    return {str(site): len(set(people[sites == site])) for site in np.unique(sites)}


def cramers_v(a: np.ndarray, b: np.ndarray) -> float:
    """Return the association of two lists of names: 0 none, 1 one determines the other.

    Examples
    --------
    >>> import numpy as np
    >>> cramers_v(np.array(['x', 'x', 'y', 'y']), np.array(['1', '1', '2', '2']))
    1.0
    """
    table = (a[:, None] == np.unique(a)).T.astype(float) @ (b[:, None] == np.unique(b))
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    chi2 = ((table - expected) ** 2 / expected).sum()
    smaller = min(table.shape) - 1
    return float(np.sqrt(chi2 / (table.sum() * smaller))) if smaller else 0.0


def _check_groups(one: Covariate, sites: np.ndarray, column: str) -> list[Problem]:
    single = [str(site) for site in np.unique(sites) if len(set(one.values[sites == site])) == 1]
    v = cramers_v(one.values, sites)
    if len(set(sites)) - len(single) < 2 or v > MAX_ASSOCIATION:
        where = f'{", ".join(single)} with one group only' if single else 'hardly any overlap'
        raise GroupError(
            f"{column} and {one.name} are confounded: {where} (Cramer's V {v:.2f}).",
            f'A difference between sites cannot be told from one of {one.name}; a '
            'harmonisation would remove or invent it.',
            _DO,
        )
    if not single:
        return []
    return [
        Problem(
            f'{column} {names(single)} has one group of {one.name} only.',
            f'What is known of {one.name} comes from the other sites.',
            'Read the result with and without these sites.',
        )
    ]


def _check_number(one: Covariate, sites: np.ndarray, column: str) -> None:
    x = one.values
    means = {site: x[sites == site].mean() for site in np.unique(sites)}
    explained = np.var([means[site] for site in sites]) / np.var(x)
    apart = []
    for site in means:
        here, others = x[sites == site], x[sites != site]
        if (
            not ((here >= others.min()) & (here <= others.max())).any()
            and not ((others >= here.min()) & (others <= here.max())).any()
        ):
            apart.append(str(site))
    if apart or explained > MAX_ASSOCIATION:
        where = (
            f'{one.name} at {", ".join(apart)} does not overlap with that of the others'
            if apart
            else f'sites explain {100 * explained:.0f} % of the variance of {one.name}'
        )
        raise GroupError(
            f'{column} and {one.name} are confounded: {where}.',
            f'A difference between sites cannot be told from one of {one.name}; a '
            'harmonisation would remove or invent it.',
            _DO,
        )
