"""Two small lesions of opposite sign: a calcification and a microbleed.

They test what whole-brain errors hide: that the sign is right, that a strong small source does
not throw streaks over its surroundings, and that the phase near it is unwrapped. Places, sizes
and values are chosen to look like lesions; they are not measurements.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmbids.phantom.tissues import TissueProperties
from qsmbids.phantom.veins import Vein


class Lesion(NamedTuple):
    """A ball in template space."""

    code: int  # in ``Head.lesions``
    name: str
    centre_mm: tuple[float, float, float]
    radius_mm: float
    tissue: TissueProperties

    def as_vein(self) -> Vein:
        """Return the ball as the shortest of all tubes, to be drawn as veins are."""
        return Vein(np.array([self.centre_mm, self.centre_mm], dtype=float), self.radius_mm)


CALCIFICATION = Lesion(
    1, 'calcification', (-26, -30, 26), 2.5, TissueProperties(-1.5, 40.0, 0.4, 0.9)
)
MICROBLEED = Lesion(2, 'microbleed', (28, 18, 20), 2.0, TissueProperties(1.0, 90.0, 0.7, 1.0))
LESIONS = (CALCIFICATION, MICROBLEED)
