"""Norms: what a region's value is expected to be at an age, and how people scatter around it.

A norm of one region is a table by age of

* the mean m(age) of healthy people,
* the standard deviation s(age) between them, which may grow with age,
* optionally the standard error e(age) of that mean and the degrees of freedom nu(age) of that
  standard deviation: a norm that was fitted on few people is itself uncertain.

A value y of somebody who does not belong to the sample stands at

    T = (y - m) / sqrt(s^2 + e^2),

which follows Student's t with nu degrees of freedom if this person is like the sample
(prediction interval, not the confidence interval of the mean). Its two-sided probability p and
the standard score

    z = Phi^-1( F_nu(T) )

are what is reported: z is N(0, 1) for healthy people however small the sample was. The centile
is 100 Phi(z). Without e and nu the norm is taken as exactly known.

The table, not the formula it came from, is what counts, so norms that were made in another way
(from a published table, GAMLSS, a spline) have the same form. Between its ages the mean and the
standard deviation follow a monotone cubic; outside them there is no norm.

References
----------
Marquand AF, et al. Conceptualizing mental disorders as deviations from normative functioning.
Mol Psychiatry 2019;24:1415-1424. https://doi.org/10.1038/s41380-019-0441-1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

SAME_FIELD = 0.1  # relative: 2.89 T and 3 T are one class of scanner, 1.5 T and 3 T are not


@dataclass(frozen=True)
class Scores:
    """Where values stand in a norm: arrays of one shape, NaN where there is no answer.

    Parameters
    ----------
    expected : ndarray, ppm
        Mean of the norm at the age, in the reference of the map.
    sd : ndarray, ppm
        Standard deviation of a new person around it: between people, and of the mean.
    z, centile, p : ndarray
        Standard score, 0 to 100, and two-sided probability.
    """

    expected: np.ndarray
    sd: np.ndarray
    z: np.ndarray
    centile: np.ndarray
    p: np.ndarray


@dataclass(frozen=True)
class Norm:
    """The norm of one region.

    Parameters
    ----------
    region : str
        Name without hemisphere.
    hemisphere : str
        ``'L'``, ``'R'`` or ``'B'`` (both sides averaged, or a region of the midline).
    age, mean, sd : tuple of float
        Years, rising; ppm; ppm. At least two ages.
    mean_se, df : tuple of float
        Standard error of the mean (ppm) and degrees of freedom; empty when not known.
    n : int
        People in the sample; 0 for a norm that no sample made.
    group : str
        Kind of region, as in the atlas.
    model : mapping
        Where the table comes from: family, formula, parameters ... For information only.

    Examples
    --------
    >>> norm = Norm('Putamen', 'B', age=(20, 80), mean=(0.04, 0.08), sd=(0.01, 0.01))
    >>> [round(float(z), 2) for z in norm.scores([50, 90], [0.08, 0.08]).z]
    [2.0, nan]
    """

    region: str
    hemisphere: str
    age: tuple[float, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    mean_se: tuple[float, ...] = ()
    df: tuple[float, ...] = ()
    n: int = 0
    group: str = ''
    model: Mapping[str, Any] = field(default_factory=dict)

    @property
    def age_range(self) -> tuple[float, float]:
        """Youngest and oldest age with a norm."""
        return (self.age[0], self.age[-1])

    def covers(self, age: ArrayLike) -> np.ndarray:
        """Return whether there is a norm at these ages; False for NaN."""
        years = np.asarray(age, dtype=float)
        return (years >= self.age[0]) & (years <= self.age[-1])

    def expected(self, age: ArrayLike) -> np.ndarray:
        """Return the mean at these ages, ppm; NaN outside the norm."""
        return self._smooth['mean'](np.asarray(age, dtype=float))

    def between(self, age: ArrayLike) -> np.ndarray:
        """Return the standard deviation between people at these ages, ppm."""
        return self._smooth['sd'](np.asarray(age, dtype=float))

    def scores(self, age: ArrayLike, value: ArrayLike, shift: ArrayLike = 0.0) -> Scores:
        """Return where values stand.

        Parameters
        ----------
        age : array-like, years
        value : array-like, ppm
            NaN gives NaN.
        shift : array-like, ppm
            Added to the mean of the norm, so that it has the reference of the map.

        Returns
        -------
        Scores
        """
        from scipy.special import ndtr, ndtri, stdtr

        years, values = np.broadcast_arrays(np.asarray(age, float), np.asarray(value, float))
        expected = self.expected(years) + np.asarray(shift, dtype=float)
        sd = np.hypot(self.between(years), self._line('mean_se', years, 0.0))
        distance = (values - expected) / sd
        # by the lower tail, which keeps its digits however far out the value lies
        if self.df:
            tail = stdtr(self._line('df', years, np.inf), -np.abs(distance))
        else:
            tail = ndtr(-np.abs(distance))
        tail = np.maximum(tail, 1e-300)  # NaN stays
        z = -np.sign(distance) * ndtri(tail)
        return Scores(expected, sd, z, 100 * ndtr(z), np.minimum(2 * tail, 1.0))

    @cached_property
    def _smooth(self) -> dict[str, Any]:
        from scipy.interpolate import PchipInterpolator

        return {
            name: PchipInterpolator(self.age, getattr(self, name), extrapolate=False)
            for name in ('mean', 'sd')
        }

    def _line(self, name: str, age: np.ndarray, default: float) -> np.ndarray:
        heights = getattr(self, name)
        return np.interp(age, self.age, heights) if heights else np.full(age.shape, default)


@dataclass(frozen=True)
class NormSet:
    """The norms of the regions of one atlas, and what they may be compared with.

    Parameters
    ----------
    norms : tuple of Norm
    name : str
        Of this set, for headings.
    atlas, measure, hemispheres : str
        Atlas of the region table, its column, and ``'average'`` or ``'separate'``.
    reference, units : str
        Zero of the values (as in the sidecar of a map) and their unit.
    field_strength_t : float or None
        None if the norm claims to hold at every field strength.
    follows_reference : bool
        True for the built-in prior, whose zero is cerebrospinal fluid and which is moved to the
        reference of each map by the offset that its run recorded. False for any other norm:
        :func:`qsmbids.lifespan.norm_check.check_norm_set` refuses a file that claims it.
    notice : str
        A warning that is printed wherever the norms are used.
    provenance : mapping
        made_by, software_version, dataset, licence, n, ages, sexes, description.
    """

    norms: tuple[Norm, ...]
    name: str
    atlas: str
    reference: str
    field_strength_t: float | None
    measure: str = 'mean'
    hemispheres: str = 'average'
    units: str = 'ppm'
    follows_reference: bool = False
    notice: str = ''
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def by_region(self) -> dict[tuple[str, str], Norm]:
        """Norms by region and hemisphere."""
        return {(norm.region, norm.hemisphere): norm for norm in self.norms}

    def find(self, region: str, hemisphere: str) -> Norm | None:
        """Return the norm of a region, or None.

        A norm of both sides is that of each side, too, if the set says so by following the
        reference: the built-in prior knows no sides.
        """
        found = self.by_region.get((region, hemisphere))
        if found is None and self.follows_reference:
            found = self.by_region.get((region, 'B'))
        return found

    def refusal(
        self, *, reference: str, units: str, field_strength_t: float, curve_offset: float
    ) -> tuple[str, str, str] | None:
        """Say why a scan cannot be compared with these norms; None if it can.

        Parameters
        ----------
        reference, units : str
            Of the scan's map.
        field_strength_t : float
            NaN if not known.
        curve_offset : float, ppm
            What moves the built-in prior to the reference of the map; NaN if not recorded.

        Returns
        -------
        tuple of three str or None
            What is wrong, why it matters, what to do.
        """
        if units != self.units:
            return (
                f'The map is in {units or "an unknown unit"}, the norms "{self.name}" in '
                f'{self.units}.',
                'A value in one unit says nothing in another.',
                f'Use norms in {units or "the unit of the map"}.',
            )
        if self.follows_reference:
            return self._unmoved(reference, curve_offset)
        if _plain(reference) != _plain(self.reference):
            return (
                f'The map is relative to {reference or "an unknown reference"}, the norms '
                f'"{self.name}" to {self.reference}.',
                'The two differ by a constant of up to tens of ppb that is not known.',
                f'Reconstruct with --reference-region {self.reference}, or use other norms.',
            )
        return self._other_field(field_strength_t)

    def to_json(self) -> str:
        """Return the text of a norm file; equal norms give equal bytes."""
        from qsmbids.lifespan.norm_json import to_json

        return to_json(self)

    @classmethod
    def from_json(cls, text: str, source: str = 'the norm file') -> NormSet:
        """Read the text of a norm file.

        Raises
        ------
        LifespanError
            If it is no norm file, or one that cannot be used; it names ``source``.
        """
        from qsmbids.lifespan.norm_json import from_json

        return from_json(text, source)

    def _unmoved(self, reference: str, curve_offset: float) -> tuple[str, str, str] | None:
        if reference and reference != 'none' and np.isfinite(curve_offset):
            return None
        why = (
            'no reference' if reference in ('', 'none') else 'no recorded offset of its reference'
        )
        return (
            f'The map has {why}, so "{self.name}" cannot be moved to its zero.',
            f'Zero of these norms is {self.reference}, zero of the map is something else.',
            'Run the participant level with an atlas and a reference region.',
        )

    def _other_field(self, strength: float) -> tuple[str, str, str] | None:
        wanted = self.field_strength_t
        if wanted is None or abs(strength - wanted) <= SAME_FIELD * wanted:
            return None
        known = f'{strength:.3g} T' if np.isfinite(strength) else 'an unknown field strength'
        return (
            f'The scan was made at {known}, the norms "{self.name}" at {wanted:.3g} T.',
            'Susceptibility as it is reconstructed differs between field strengths.',
            'Use norms of this field strength, or add MagneticFieldStrength to the sidecars.',
        )


def _plain(text: str) -> str:
    return text.strip().casefold().replace('_', '-').replace(' ', '-')
