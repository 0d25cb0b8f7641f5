"""Where the labels of the built-in atlas come from."""

from __future__ import annotations

from qsmbids.atlas.descriptions import Credits

GEOMETRY_ORIGIN = (
    'Region shapes: Gaussian mixtures fitted to the labels of the Allen Human Reference Atlas 3D '
    '2020 (Ding et al. 2016, doi 10.1002/cne.24080; RRID SCR_017764; CC BY 4.0), thresholded; '
    'the right side is the mirror image of the left.'
)


def builtin_credits(name: str, version: str) -> Credits:
    """Return the credits of the built-in atlas."""
    return Credits(
        name=name,
        version=version,
        licence='CC BY 4.0',
        labels_origin=GEOMETRY_ORIGIN,
        label_authors=('Allen Institute for Brain Science (labels)',),
        label_references=('https://doi.org/10.1002/cne.24080',),
        acknowledge='Cite the Allen Human Reference Atlas (doi 10.1002/cne.24080) and the '
        'ICBM template (doi 10.1016/j.neuroimage.2010.07.033).',
        rrid='RRID:SCR_017764',
    )
