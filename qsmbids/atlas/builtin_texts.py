"""The words of the built-in atlas: descriptions, sidecars, and where every number is from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qsmbids import __version__
from qsmbids.atlas import contrast, template
from qsmbids.atlas.cohorts import Cohort
from qsmbids.atlas.contrast import AtlasGrid
from qsmbids.atlas.geometry import load_regions
from qsmbids.lifespan import prior

BIDS_VERSION = '1.11.1'
LICENCE = 'CC BY 4.0'
GEOMETRY_ORIGIN = (
    'Region shapes: Gaussian mixtures fitted to the labels of the Allen Human Reference Atlas 3D '
    '2020 (Ding et al. 2016, doi 10.1002/cne.24080; RRID SCR_017764; CC BY 4.0), thresholded; '
    'the right side is the mirror image of the left.'
)
TEMPLATE_ORIGIN = (
    'Brain: ICBM 2009a nonlinear symmetric average (T1w, grey and white matter probability) as '
    'bundled with nilearn, cropped to the brain; '
    'Fonov et al. 2011, doi 10.1016/j.neuroimage.2010.07.033.'
)
ADULT_NOTICE = (
    'The anatomy is an adult average at every age; only susceptibility, and the contrast that '
    'follows from it, change with age.'
)
VALUES_ORIGIN = (
    f'Susceptibilities: {prior.NOTICE}. Each region has one age curve, evaluated at the middle '
    'of the age bin.'
)
BINS_ORIGIN = 'The age bins are a design of the qsmbids project, not those of a study.'
REFERENCES = [
    'https://doi.org/10.1002/cne.24080',
    'https://doi.org/10.1016/j.neuroimage.2010.07.033',
    'https://doi.org/10.1111/j.1471-4159.1958.tb12607.x',
    'https://doi.org/10.1002/hbm.22360',
    'https://doi.org/10.1002/nbm.5226',
]


def curve_table() -> dict[str, dict[str, Any]]:
    """Return formula, parameters (ppm, years) and origin of every region and tissue curve."""
    return {
        name: {
            'Formula': prior.prior_curve(name).formula,
            'Parameters': dict(vars(prior.prior_curve(name))),
            'Origin': prior.prior_origin(name),
        }
        for name in (*prior.REGIONS, *prior.TISSUES)
        if name != 'VenousBlood'  # the atlas shows no veins
    }


def chimap_sidecar(cohort: Cohort, subtracted: float) -> dict[str, Any]:
    """Describe the susceptibility map of an age bin; every value with its origin."""
    curves = curve_table()
    for name, entry in curves.items():
        entry['Value'] = round(float(prior.chi_at_age(name, cohort.middle_age)) - subtracted, 6)
    return {
        'Description': f'Synthetic susceptibility map at {cohort.middle_age:g} years '
        f'(age bin {cohort.interval}): {prior.NOTICE}.',
        'SkullStripped': True,
        'Units': 'ppm',
        'AgeYears': cohort.middle_age,
        'SusceptibilityReference': 'whole brain (mean over the brain mask is zero)',
        'SusceptibilityReferenceValue': subtracted,
        'PhaseSignConvention': 'paramagnetic positive',
        'RegionBorderSigma': contrast.BORDER_SIGMA_MM,
        'Anatomy': f'{TEMPLATE_ORIGIN} {GEOMETRY_ORIGIN} {ADULT_NOTICE}',
        'Origin': f'{VALUES_ORIGIN} Values are relative to the reference, in ppm. {BINS_ORIGIN}',
        'Curves': curves,
    }


def t1w_sidecar() -> dict[str, Any]:
    """Describe the T1-weighted brain."""
    return {
        'Description': f'T1-weighted brain, the same at every age. {ADULT_NOTICE}',
        'SkullStripped': True,
        'Units': 'arbitrary',
        'Origin': TEMPLATE_ORIGIN,
        'Notice': template.LICENCE,
    }


def t2starw_sidecar(cohort: Cohort) -> dict[str, Any]:
    """Describe the synthetic GRE magnitude."""
    return {
        'Description': 'Synthetic gradient-echo magnitude at '
        f'{cohort.middle_age:g} years, for registration only.',
        'SkullStripped': True,
        'Units': 'arbitrary',
        'AgeYears': cohort.middle_age,
        'Origin': f'{prior.R2STAR_ORIGIN}. Tissue T1, proton density, TR, flip angle and TE are '
        f'engineering choices. {TEMPLATE_ORIGIN} {GEOMETRY_ORIGIN}',
    }


def mask_sidecar() -> dict[str, Any]:
    """Describe the brain mask."""
    return {'Type': 'Brain', 'Description': 'Brain with ventricles.', 'Origin': TEMPLATE_ORIGIN}


def dseg_sidecar() -> dict[str, Any]:
    """Describe the label image."""
    return {
        'Description': 'Regions as labels; see the table at the root of the atlas.',
        'Origin': f'{GEOMETRY_ORIGIN} {ADULT_NOTICE}',
    }


def label_columns() -> dict[str, Any]:
    """Describe the columns of the label table."""
    return {
        'index': {
            'Description': 'Value in the label images: left odd, right even, midline above 100',
            'Format': 'integer',
        },
        'name': {'Description': 'Name with hemisphere'},
        'abbreviation': {'Description': 'Short name with hemisphere'},
        'hemisphere': {
            'Description': 'Side of the body',
            'Levels': {'L': 'left', 'R': 'right', 'B': 'midline'},
        },
        'group': {'Description': 'Kind of region'},
        'color': {'Description': 'Colour for display, #rrggbb'},
        'region': {'Description': 'Name without hemisphere, shared by both sides'},
    }


def dataset_description(name: str, version: str) -> dict[str, Any]:
    """Return dataset_description.json of the atlas folder."""
    return {
        'Name': f'{name}: age-specific susceptibility atlas ({prior.NOTICE})',
        'BIDSVersion': BIDS_VERSION,
        'DatasetType': 'derivative',
        'License': LICENCE,
        'Authors': ['The qsmbids developers'],
        'HowToAcknowledge': 'Cite the Allen Human Reference Atlas (doi 10.1002/cne.24080) and the '
        'ICBM template (doi 10.1016/j.neuroimage.2010.07.033).',
        'ReferencesAndLinks': REFERENCES,
        'GeneratedBy': [
            {'Name': 'qsmbids', 'Version': __version__, 'Description': f'atlas version {version}'}
        ],
    }


def atlas_description(name: str) -> dict[str, Any]:
    """Return the description of the parcellation."""
    return {
        'Name': name,
        'License': LICENCE,
        'Description': f'{len(load_regions())} regions (paired ones on both sides). '
        f'{GEOMETRY_ORIGIN} {ADULT_NOTICE}',
        'Authors': ['Allen Institute for Brain Science (labels)', 'The qsmbids developers'],
        'ReferencesAndLinks': REFERENCES[:1],
        'RRID': 'RRID:SCR_017764',
        'Species': 'Human',
    }


def template_description(
    name: str, version: str, cohorts: Sequence[Cohort], grid: AtlasGrid
) -> dict[str, Any]:
    """Return template_description.json with all age bins, as TemplateFlow reads it."""
    return {
        'Name': name,
        'Identifier': name,
        'Version': version,
        'BIDSVersion': BIDS_VERSION,
        'TemplateFlowVersion': '1.0.0',
        'License': LICENCE,
        'Species': 'Homo sapiens',
        'Authors': ['The qsmbids developers'],
        'Curators': ['The qsmbids developers'],
        'Acknowledgements': f'{TEMPLATE_ORIGIN} {GEOMETRY_ORIGIN}',
        'HowToAcknowledge': 'Cite the references.',
        'ReferencesAndLinks': REFERENCES,
        'Origin': f'{VALUES_ORIGIN} {BINS_ORIGIN} {ADULT_NOTICE}',
        'res': {
            '1': {
                'origin': [float(v) for v in grid.affine[:3, 3]],
                'shape': list(grid.labels.shape),
                'zooms': [float(v) for v in np.abs(np.diag(grid.affine)[:3])],
            }
        },
        'cohort': {
            c.label: {'name': c.name, 'age': [c.age_min, c.age_max], 'units': 'years'}
            for c in cohorts
        },
        'Curves': curve_table(),
    }


def readme(name: str, cohorts: Sequence[Cohort]) -> str:
    """Return the README of the atlas folder."""
    bins = '\n'.join(f'| {c.label} | {c.interval} | {c.middle_age:g} |' for c in cohorts)
    return f"""# {name}

A synthetic, age-specific susceptibility atlas: **{prior.NOTICE}**. No image in this folder was
measured in a person of that age.

* {TEMPLATE_ORIGIN}
* {GEOMETRY_ORIGIN}
* {ADULT_NOTICE}
* {VALUES_ORIGIN} Formula, parameters and origin of each curve are in
  `tpl-{name}/template_description.json` and in the sidecar of each `Chimap`.
* {BINS_ORIGIN}
* Susceptibility is in ppm, paramagnetic positive, with the whole-brain mean as zero; the sidecar
  holds the value that was subtracted.

| cohort | age in years | values at |
|---|---|---|
{bins}

The oldest age bin includes its upper limit. Layout: BIDS derivative with the file names of
TemplateFlow.

Licence: {LICENCE}. The T1-weighted image, its mask and tissue maps carry this notice:
{template.LICENCE}
"""
