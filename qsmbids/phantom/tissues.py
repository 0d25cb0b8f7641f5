"""What each tissue of the head is made of, as far as a gradient-echo scan can tell.

Susceptibilities of brain and blood come from the age curves of ``lifespan.prior``; the values
here are for what surrounds it. Air and bone are those of the reconstruction challenge 2.0
head (Marques et al. 2021). Proton densities, T1 and R2* are round numbers chosen to look
like a head at 3 T, not measurements.

References
----------
Marques JP, et al. QSM reconstruction challenge 2.0: a realistic in silico head phantom for
MRI data simulation and evaluation of susceptibility mapping procedures. Magn Reson Med
2021;86:526-542. https://doi.org/10.1002/mrm.28716
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from qsmbids.lifespan.prior import chi_at_age, r2star_at_age

CHI_AIR = 9.2  # ppm relative to soft tissue (Marques 2021)
FAT_SHIFT = -3.4  # ppm, chemical shift of fat relative to water


class Tissue(IntEnum):
    """Codes of the template head; BRAIN is divided further by the tissue maps."""

    AIR = 0
    BRAIN = 1
    CSF = 2
    BLOOD = 3
    BONE = 4
    MARROW = 5
    FAT = 6
    MUSCLE = 7
    SKIN = 8
    EYE = 9


@dataclass(frozen=True)
class TissueProperties:
    """Properties of one tissue at 3 T."""

    chi_ppm: float  # relative to cerebrospinal fluid
    r2star: float  # 1/s
    proton_density: float  # relative to water
    t1_s: float
    chemical_shift_ppm: float = 0.0


PROPERTIES = {
    Tissue.AIR: TissueProperties(CHI_AIR, 0.0, 0.0, 1.0),
    Tissue.CSF: TissueProperties(0.0, 1.5, 1.0, 4.0),
    Tissue.BLOOD: TissueProperties(  # venous, the same at all ages
        chi_at_age('VenousBlood', 0), r2star_at_age('VenousBlood', 0), 0.85, 1.7
    ),
    Tissue.BONE: TissueProperties(-2.1, 1000.0, 0.10, 0.3),
    Tissue.MARROW: TissueProperties(0.0, 70.0, 0.45, 0.35, FAT_SHIFT),
    Tissue.FAT: TissueProperties(0.0, 40.0, 0.80, 0.35, FAT_SHIFT),
    Tissue.MUSCLE: TissueProperties(0.0, 35.0, 0.75, 1.3),
    Tissue.SKIN: TissueProperties(0.0, 50.0, 0.60, 1.0),
    Tissue.EYE: TissueProperties(0.0, 2.0, 1.0, 3.5),
}
# proton density and T1 (s) of the brain; their susceptibility and R2* follow the age curves
GREY = (0.84, 1.40)
WHITE = (0.70, 0.85)
DEEP_GREY = (0.80, 1.15)
FLUID = (1.00, 4.00)


def lookup(name: str) -> np.ndarray:
    """Return one property of all tissues as a float32 table indexed by code.

    Parameters
    ----------
    name : str
        Field of `TissueProperties`. The entry of BRAIN is that of CSF.
    """
    return np.array(
        [getattr(PROPERTIES.get(code, PROPERTIES[Tissue.CSF]), name) for code in Tissue],
        dtype=np.float32,
    )


def spoiled_gradient_echo(
    proton_density: np.ndarray, t1_s: np.ndarray, flip_rad: np.ndarray | float, repetition_s: float
) -> np.ndarray:
    """Return the steady-state signal at echo time zero (Ernst equation).

    Parameters
    ----------
    proton_density, t1_s : array-like
    flip_rad : array-like, rad
    repetition_s : float, s

    Returns
    -------
    ndarray
        M0 sin(a) (1 - E1) / (1 - cos(a) E1) with E1 = exp(-TR/T1).
    """
    e1 = np.exp(-repetition_s / t1_s)
    return proton_density * np.sin(flip_rad) * (1 - e1) / (1 - np.cos(flip_rad) * e1)
