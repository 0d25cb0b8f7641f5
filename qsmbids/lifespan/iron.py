"""Iron estimated from susceptibility: a straight line, and only an estimate.

In deep grey matter, most of the susceptibility comes from ferritin iron, and across nuclei

    chi = slope * Fe + offset,        Fe = (chi - offset) / slope,

with Fe in ug of iron per g of wet tissue. The line is not settled. Post-mortem work gave slopes
of about 0.9 to 1.1 ppb per ug/g, theory of ferritin 1.3 to 1.4, and values in vivo against
Hallgren's iron as little as 0.66 with an offset of -24 ppb; the offset depends on what zero of the
map is. The estimate changes by the same factor, so slope and offset stand beside every number,
and susceptibility comes first. White matter is left out: there myelin counters iron (r = 0.27
in Langkammer 2012, against 0.84 in grey matter).

References
----------
Langkammer C, et al. Quantitative susceptibility mapping (QSM) as a means to measure brain iron? A
post mortem validation study. NeuroImage 2012;62:1593-1599.
https://doi.org/10.1016/j.neuroimage.2012.05.049
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.lifespan.errors import LifespanError

DEEP_GREY = 'deep grey'
DEFAULT_SLOPE = 0.89  # ppb per (ug/g)
DEFAULT_ORIGIN = 'Langkammer 2012, post mortem'
_PLAUSIBLE = (0.3, 3.0)  # ppb per (ug/g); outside it is a mistake of units


@dataclass(frozen=True)
class IronScale:
    """The line between susceptibility and iron.

    Parameters
    ----------
    slope : float, ppb per (ug iron / g wet tissue)
    offset : float, ppb
        Susceptibility of tissue without iron, in the reference of the map.

    Raises
    ------
    LifespanError
        If the slope cannot be one, or the offset is no number.

    Examples
    --------
    >>> scale = IronScale()
    >>> round(float(scale.iron(0.178)), 1)
    200.0
    >>> scale.text
    'Fe = (chi - 0 ppb) / 0.89 ppb per ug/g (slope: Langkammer 2012, post mortem)'
    """

    slope: float = DEFAULT_SLOPE
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not _PLAUSIBLE[0] <= self.slope <= _PLAUSIBLE[1]:
            raise LifespanError(
                f'An iron slope of {self.slope:g} ppb per ug/g cannot be right.',
                f'Known slopes lie between 0.66 and 1.4; {_PLAUSIBLE[0]:g} to {_PLAUSIBLE[1]:g} '
                'is accepted.',
                'Give --iron-slope in ppb per (ug iron / g wet tissue), for example 0.89.',
            )
        if not np.isfinite(self.offset):
            raise LifespanError(
                f'An iron offset of {self.offset:g} ppb is no number.',
                'It is the susceptibility of tissue without iron.',
                'Give --iron-offset in ppb, for example 0.',
            )

    def iron(self, chi: ArrayLike) -> np.ndarray:
        """Return the estimated iron in ug/g of susceptibility in ppm; may be negative."""
        return (1000 * np.asarray(chi, dtype=float) - self.offset) / self.slope

    def chi(self, iron: ArrayLike) -> np.ndarray:
        """Return the susceptibility in ppm of iron in ug/g: the inverse of :meth:`iron`."""
        return 1e-3 * (self.slope * np.asarray(iron, dtype=float) + self.offset)

    @property
    def text(self) -> str:
        """The line in words, to be printed with every estimate."""
        origin = DEFAULT_ORIGIN if self.slope == DEFAULT_SLOPE else 'given by the user'
        return (
            f'Fe = (chi - {self.offset:g} ppb) / {self.slope:g} ppb per ug/g (slope: {origin})'
        ).replace('- -', '+ ')
