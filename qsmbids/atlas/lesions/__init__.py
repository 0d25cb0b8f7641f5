"""Measures of lesions and veins that somebody has marked on the grid of the scan."""

from __future__ import annotations

from qsmbids.atlas.lesions.columns import (
    LESION_COLUMNS,
    VEIN_COLUMNS,
    lesion_settings,
    vein_settings,
)
from qsmbids.atlas.lesions.focal import lesion_table
from qsmbids.atlas.lesions.veins import oxygen_saturation, vein_table

# raised with every change of a number in the tables: it belongs to the cache of the step
VERSION = 1

__all__ = [
    'LESION_COLUMNS', 'VEIN_COLUMNS', 'VERSION', 'lesion_settings', 'lesion_table',
    'oxygen_saturation', 'vein_settings', 'vein_table',
]  # fmt: skip
