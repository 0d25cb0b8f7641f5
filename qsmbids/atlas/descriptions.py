"""The words of an atlas that this program makes: descriptions, sidecars, origin of every number.

Three atlases share them: the built-in one and those made of the Allen Human Reference Atlas
and of CIT168. They share brain, age curves and age bins, and differ in where their labels come
from, which `Credits` says. Attribution of the labels goes into every description file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qsmbids import __version__
from qsmbids.atlas import contrast, template
from qsmbids.atlas.cohorts import Cohort
from qsmbids.atlas.contrast import AtlasGrid
from qsmbids.lifespan import prior

BIDS_VERSION = '1.11.1'
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
    f'Susceptibilities: {prior.NOTICE}. Each region that is drawn has an age curve, evaluated at '
    'the middle of the age bin.'
)
BINS_ORIGIN = 'The age bins are a design of the qsmbids project, not those of a study.'
VALUE_REFERENCES = (
    'https://doi.org/10.1016/j.neuroimage.2010.07.033',
    'https://doi.org/10.1111/j.1471-4159.1958.tb12607.x',
    'https://doi.org/10.1002/hbm.22360',
    'https://doi.org/10.1002/nbm.5226',
)


@dataclass(frozen=True)
class Credits:
    """Where the labels of an atlas come from.

    Parameters
    ----------
    name, version : str
        Name and version of the atlas; the version goes up with its images and tables.
    licence : str
        Of the labels, and so of the atlas.
    labels_origin : str
        Name of the source, authors, DOI, licence, and the changes made, in sentences.
    label_authors : tuple of str
    label_references : tuple of str
        Addresses of the papers that describe the labels.
    acknowledge : str
        What to cite.
    rrid : str, optional
        Research resource identifier of the labels.
    facts : mapping
        Further entries of the description of the parcellation.
    """

    name: str
    version: str
    licence: str
    labels_origin: str
    label_authors: tuple[str, ...]
    label_references: tuple[str, ...]
    acknowledge: str
    rrid: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def references(self) -> list[str]:
        """Addresses of all papers behind the atlas."""
        return [*self.label_references, *VALUE_REFERENCES]


def curve_table(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return formula, parameters (ppm, years) and origin of age curves.

    Curves of general tissue are always among them, names without a curve never.
    """
    wanted = {*names, *prior.TISSUES} - {'VenousBlood'}  # the atlases show no veins
    return {
        name: {
            'Formula': prior.prior_curve(name).formula,
            'Parameters': dict(vars(prior.prior_curve(name))),
            'Origin': prior.prior_origin(name),
        }
        for name in (*prior.REGIONS, *prior.TISSUES)
        if name in wanted
    }


def chimap_sidecar(
    credits: Credits, cohort: Cohort, subtracted: float, curves: Iterable[str]
) -> dict[str, Any]:
    """Describe the susceptibility map of an age bin; every value with its origin."""
    table = curve_table(curves)
    for name, entry in table.items():
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
        'Anatomy': f'{TEMPLATE_ORIGIN} {credits.labels_origin} {ADULT_NOTICE}',
        'Origin': f'{VALUES_ORIGIN} Values are relative to the reference, in ppm. {BINS_ORIGIN}',
        'Curves': table,
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


def t2starw_sidecar(credits: Credits, cohort: Cohort) -> dict[str, Any]:
    """Describe the synthetic GRE magnitude."""
    return {
        'Description': 'Synthetic gradient-echo magnitude at '
        f'{cohort.middle_age:g} years, for registration only.',
        'SkullStripped': True,
        'Units': 'arbitrary',
        'AgeYears': cohort.middle_age,
        'Origin': f'{prior.R2STAR_ORIGIN}. Tissue T1, proton density, TR, flip angle and TE are '
        f'engineering choices. {TEMPLATE_ORIGIN} {credits.labels_origin}',
    }


def mask_sidecar() -> dict[str, Any]:
    """Describe the brain mask."""
    return {'Type': 'Brain', 'Description': 'Brain with ventricles.', 'Origin': TEMPLATE_ORIGIN}


def dseg_sidecar(credits: Credits) -> dict[str, Any]:
    """Describe the label image."""
    return {
        'Description': 'Regions as labels; see the table at the root of the atlas.',
        'Origin': f'{credits.labels_origin} {ADULT_NOTICE}',
    }


def label_columns(first_midline: int) -> dict[str, Any]:
    """Describe the columns of the label table."""
    return {
        'index': {
            'Description': 'Value in the label images: left odd, right the even number after '
            f'it, midline from {first_midline} on',
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
        'curve': {
            'Description': 'Age curve whose value the region has in the susceptibility maps; '
            'n/a: the mixture of grey matter, white matter and fluid of the template'
        },
        'source': {'Description': 'Names of this region in the source of the labels'},
    }


def dataset_description(credits: Credits) -> dict[str, Any]:
    """Return dataset_description.json of the atlas folder."""
    return {
        'Name': f'{credits.name}: age-specific susceptibility atlas ({prior.NOTICE})',
        'BIDSVersion': BIDS_VERSION,
        'DatasetType': 'derivative',
        'License': credits.licence,
        'Authors': ['The qsmbids developers', *credits.label_authors],
        'Acknowledgements': f'{TEMPLATE_ORIGIN} {credits.labels_origin}',
        'HowToAcknowledge': credits.acknowledge,
        'ReferencesAndLinks': credits.references,
        'GeneratedBy': [
            {
                'Name': 'qsmbids',
                'Version': __version__,
                'Description': f'atlas version {credits.version}',
            }
        ],
    }


def atlas_description(credits: Credits, n_regions: int) -> dict[str, Any]:
    """Return the description of the parcellation."""
    described = {
        'Name': credits.name,
        'License': credits.licence,
        'Description': f'{n_regions} regions (paired ones on both sides). '
        f'{credits.labels_origin} {ADULT_NOTICE}',
        'Authors': [*credits.label_authors, 'The qsmbids developers'],
        'ReferencesAndLinks': list(credits.label_references),
        'Species': 'Human',
    }
    if credits.rrid:
        described['RRID'] = credits.rrid
    return described | dict(credits.facts)


def template_description(
    credits: Credits, cohorts: Sequence[Cohort], grid: AtlasGrid, curves: Iterable[str]
) -> dict[str, Any]:
    """Return template_description.json with all age bins, as TemplateFlow reads it."""
    return {
        'Name': credits.name,
        'Identifier': credits.name,
        'Version': credits.version,
        'BIDSVersion': BIDS_VERSION,
        'TemplateFlowVersion': '1.0.0',
        'License': credits.licence,
        'Species': 'Homo sapiens',
        'Authors': ['The qsmbids developers', *credits.label_authors],
        'Curators': ['The qsmbids developers'],
        'Acknowledgements': f'{TEMPLATE_ORIGIN} {credits.labels_origin}',
        'HowToAcknowledge': credits.acknowledge,
        'ReferencesAndLinks': credits.references,
        'Origin': f'{VALUES_ORIGIN} {BINS_ORIGIN} {ADULT_NOTICE}',
        # one anatomy at every age, so templates of two cohorts may be blended voxel by voxel
        'CohortsShareSpace': True,
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
        'Curves': curve_table(curves),
    }


def readme(credits: Credits, cohorts: Sequence[Cohort]) -> str:
    """Return the README of the atlas folder."""
    bins = '\n'.join(f'| {c.label} | {c.interval} | {c.middle_age:g} |' for c in cohorts)
    return f"""# {credits.name}

An age-specific susceptibility atlas with synthetic contrast: **{prior.NOTICE}**. No image in this
folder was measured in a person of that age.

* {TEMPLATE_ORIGIN}
* {credits.labels_origin}
* {ADULT_NOTICE}
* {VALUES_ORIGIN} Formula, parameters and origin of each curve are in
  `tpl-{credits.name}/template_description.json` and in the sidecar of each `Chimap`. The column
  `curve` of the label table says which region is drawn with which curve; regions without one
  show the mixture of grey matter, white matter and fluid of the template.
* {BINS_ORIGIN}
* Susceptibility is in ppm, paramagnetic positive, with the whole-brain mean as zero; the sidecar
  holds the value that was subtracted.

| cohort | age in years | values at |
|---|---|---|
{bins}

The oldest age bin includes its upper limit. Layout: BIDS derivative with the file names of
TemplateFlow.

Licence: {credits.licence}. {credits.acknowledge} The T1-weighted image, its mask and tissue maps
carry this notice:
{template.LICENCE}
"""
