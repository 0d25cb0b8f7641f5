"""Quality numbers of an acquisition with the range in which they are plausible.

The ranges are rules of thumb of this project, wide enough that a good scan at usual
resolution passes; outside them the page says 'look', never 'wrong'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qsmbids.report.models import QCValue

# name, unit, low, high, meaning; name is looked up in the records of the steps
_RECON: tuple[tuple[str, str, float | None, float | None, str], ...] = (
    ('field_noise_hz', 'Hz', None, 2.0,
     'Median noise of the field map; high: low signal, short echoes or a bad mask.'),
    ('residual_wrap_fraction', '', None, 0.01,
     'Fraction of neighbouring voxels that differ by more than half a turn in the last echo; '
     'high: unwrapping failed somewhere.'),
    ('chi_sd_ppb', 'ppb', 10.0, 100.0,
     'Spread of susceptibility in the brain; high: noise or streaks, low: over-smoothed.'),
    ('streak_score', '', None, 1.5,
     'Power of the map in the cone where the dipole kernel vanishes against elsewhere; '
     'above 1: streaks.'),
    ('rim_sd_ratio', '', None, 3.0,
     'Spread at the edge of the map against its inside; high: leftover background field.'),
    ('brain_volume_ml', 'ml', 700.0, 2000.0,
     'Volume of the brain mask; outside: scalp included or brain cut.'),
    ('reliable_fraction', '', 0.8, None,
     'Share of the brain whose phase can be trusted.'),
    ('eroded_fraction', '', None, 0.35,
     'Share of that which background removal gave up at the edge.'),
    ('field_snr', '', 1.0, None,
     'Spread of the local field against the noise of the field map.'),
    ('sign_check_ppb', 'ppb', -10.0, None,
     'Susceptibility of the voxels with the highest R2*; negative: the phase sign may '
     'be the wrong way round.'),
    ('r2star_median', '1/s', 5.0, 60.0, 'Median R2* of the brain.'),
)  # fmt: skip
_REGISTRATION: tuple[tuple[str, str, float | None, float | None, str], ...] = (
    ('mask_dice', '', 0.9, None, 'Overlap of the brain masks after registration.'),
    ('structure_match', '', 0.35, None,
     'Likeness of magnitude (or T1w) and atlas after registration.'),
    ('fov_coverage', '', 0.9, None, 'Share of the atlas brain inside the field of view.'),
    ('chi_correlation', '', 0.3, None,
     'Correlation of susceptibility with the atlas in deep grey matter.'),
    ('deep_grey_overlap', '', 0.6, None,
     'Overlap of the iron-rich regions with the iron that the map shows; low: regions beside '
     'the nuclei. Empty in small children, who have no iron to show yet.'),
    ('deep_grey_contrast', '', 0.3, 2.5,
     'Contrast of the iron-rich regions over that expected at this age.'),
    ('turned_deg', 'degrees', None, 15.0,
     'Turn of the head against its header that registration had to undo; above zero: wrong '
     'orientation in the header, and so a wrong field direction in the susceptibility map.'),
    ('jacobian_min', '', 0.1, None, 'Strongest compression by the warp.'),
    ('jacobian_max', '', None, 8.0, 'Strongest expansion by the warp.'),
    ('folded_fraction', '', None, 0.001, 'Share of the brain that the warp turns inside out.'),
)  # fmt: skip


def qc_values(records: Mapping[str, Mapping[str, Any]]) -> list[QCValue]:
    """Return the quality numbers of an acquisition.

    Parameters
    ----------
    records : mapping
        'recon' and 'atlas' to what the sinks recorded, where they exist.

    Returns
    -------
    list of QCValue
        Those that were not computed have the value None, so that tables of all
        acquisitions have the same columns.
    """
    found: dict[str, Any] = {}
    for record in records.values():
        for step in record.get('steps', ()):
            found |= {k: v for k, v in step.items() if isinstance(v, (int, float))}
            found |= step.get('registration', {})
    return [
        QCValue(name, _number(found.get(name)), unit, low, high, meaning)
        for name, unit, low, high, meaning in _columns()
    ]


def _columns() -> Sequence[tuple[str, str, float | None, float | None, str]]:
    return (*_RECON[:5], *_REGISTRATION[:1], *_RECON[5:], *_REGISTRATION[1:])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value == value else None
