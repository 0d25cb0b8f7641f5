"""Every output name, in one place.

A name is given by a short key (``chi``, ``r2star``, ``total_field`` ...). Entities that vary
inside an acquisition (echo, part) are gone, those that tell acquisitions apart stay. The
``fmap`` folder allows fewer entities than ``anat``: what it does not allow is folded into
``acq``, so that two acquisitions never share a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_FMAP_ENTITIES = ('sub', 'ses', 'acq', 'run', 'chunk')

# key: (folder, what follows the source entities); {atlas} and {cohort} are filled in
_RECON = {
    'chi': ('anat', 'Chimap.nii.gz'),
    'rss': ('anat', 'desc-rss_T2starw.nii.gz'),
    'brain_mask': ('anat', 'desc-brain_mask.nii.gz'),
    'qsm_mask': ('anat', 'desc-qsm_mask.nii.gz'),
    'total_field': ('fmap', 'desc-total_fieldmap.nii.gz'),
    'local_field': ('fmap', 'desc-local_fieldmap.nii.gz'),
    'field_noise': ('fmap', 'desc-noise_fieldmap.nii.gz'),
    'fmap_magnitude': ('fmap', 'magnitude.nii.gz'),
    'qc': ('anat', 'desc-qc_Chimap.tsv'),
}
_RELAXATION = {
    'r2star': ('anat', 'R2starmap.nii.gz'),
    't2star': ('anat', 'T2starmap.nii.gz'),
    's0': ('anat', 'S0map.nii.gz'),
}
_SEPARATION = {
    'chi_positive': ('anat', 'desc-paramagnetic_Chimap.nii.gz'),
    'chi_negative': ('anat', 'desc-diamagnetic_Chimap.nii.gz'),
}
# keys of an image and of its projection; the plain names belong to SWI itself
_CONTRASTS = {
    'swi': {'swi': ('anat', 'swi.nii.gz'), 'swi_minip': ('anat', 'minIP.nii.gz')},
    **{
        name: {
            key: ('anat', f'desc-{key}_swi.nii.gz'),
            f'{key}_minip': ('anat', f'desc-{key}_minIP.nii.gz'),
        }
        for name, key in (('clear-swi', 'clearswi'), ('tswi', 'tswi'), ('smwi', 'smwi'))
    },
}
_ATLAS = {
    'xfm_forward': ('anat', 'from-T2starw_to-{atlas}+{cohort}_mode-image_xfm.h5'),
    'xfm_inverse': ('anat', 'from-{atlas}+{cohort}_to-T2starw_mode-image_xfm.h5'),
    'dseg': ('anat', 'atlas-{atlas}_dseg.nii.gz'),
    'template_chi': ('anat', 'desc-atlas_Chimap.nii.gz'),
    'regions_chi': ('anat', 'atlas-{atlas}_desc-regions_Chimap.tsv'),
    'norm_chi': ('anat', 'space-{atlas}+{cohort}_res-1_Chimap.nii.gz'),
    'norm_rss': ('anat', 'space-{atlas}+{cohort}_res-1_desc-preproc_T2starw.nii.gz'),
}
_ATLAS_RELAXATION = {
    'regions_r2star': ('anat', 'atlas-{atlas}_desc-regions_R2starmap.tsv'),
    'norm_r2star': ('anat', 'space-{atlas}+{cohort}_res-1_R2starmap.nii.gz'),
}
_MAGNITUDE_ONLY = ('rss', 'brain_mask')


def output_names(
    entities: Sequence[tuple[str, str]],
    *,
    phase: bool = True,
    relaxation: bool = True,
    separation: bool = False,
    contrasts: Sequence[str] = (),
    markings: Sequence[tuple[str, str]] = (),
    atlas: str = '',
    cohort: str = '',
) -> dict[str, str]:
    """Return the outputs of one acquisition: key to path relative to the output folder.

    Parameters
    ----------
    entities : sequence of (str, str)
        Entities of the acquisition in BIDS order.
    phase : bool
        Whether there is phase; without it there is no susceptibility, only relaxation.
    relaxation : bool
        Whether there are echoes enough for R2*.
    separation : bool
        Whether susceptibility is separated into its two signs.
    contrasts : sequence of str
        Susceptibility-weighted images, by their names in the catalogue.
    markings : sequence of (kind, label)
        Marked 'lesions' or 'veins', of which each label gets a table (with phase only).
    atlas, cohort : str
        Name of the atlas and label of its cohort; no atlas outputs when '' (or no phase).

    Examples
    --------
    >>> names = output_names([('sub', '01'), ('run', '2')], atlas='QSMLifespan', cohort='4')
    >>> names['chi'], names['norm_chi']
    ('sub-01/anat/sub-01_run-2_Chimap.nii.gz', \
'sub-01/anat/sub-01_run-2_space-QSMLifespan+4_res-1_Chimap.nii.gz')
    """
    table = dict(_RECON) if phase else {k: _RECON[k] for k in _MAGNITUDE_ONLY}
    if relaxation:
        table.update(_RELAXATION)
    if phase:
        if separation:
            table.update(_SEPARATION)
        for name in contrasts:
            table.update(_CONTRASTS[name])
        for kind, label in markings:
            table[marking_key(kind, label)] = ('anat', f'label-{label}_desc-{kind}_Chimap.tsv')
    if atlas and phase:
        table.update(_ATLAS)
        if relaxation:
            table.update(_ATLAS_RELAXATION)
    return {
        key: _path(entities, folder, name.format(atlas=atlas, cohort=cohort))
        for key, (folder, name) in table.items()
    }


def contrast_keys(name: str) -> tuple[str, str]:
    """Return the keys of a weighted image and of its projection.

    Examples
    --------
    >>> contrast_keys('clear-swi')
    ('clearswi', 'clearswi_minip')
    """
    image, projection = _CONTRASTS[name]
    return image, projection


def marking_key(kind: str, label: str) -> str:
    """Return the key of the table of marked lesions or veins.

    Examples
    --------
    >>> marking_key('lesions', 'microbleed')
    'lesions:microbleed'
    """
    return f'{kind}:{label}'


def with_sidecars(paths: Iterable[str]) -> list[str]:
    """Return the paths and the JSON sidecars that belong to them, sorted.

    Examples
    --------
    >>> with_sidecars(['a_Chimap.nii.gz', 'b_xfm.h5'])
    ['a_Chimap.json', 'a_Chimap.nii.gz', 'b_xfm.h5', 'b_xfm.json']
    """
    found = set()
    for path in paths:
        found.update({path, sidecar(path)})
    return sorted(found)


def sidecar(path: str) -> str:
    """Return the JSON path that belongs to a file.

    Examples
    --------
    >>> sidecar('sub-01_Chimap.nii.gz')
    'sub-01_Chimap.json'
    """
    return re.sub(r'(\.nii\.gz|\.nii|\.tsv|\.h5)$', '.json', path)


def folder(entities: Sequence[tuple[str, str]], datatype: str) -> str:
    """Return ``sub-X[/ses-Y]/datatype``."""
    lookup = dict(entities)
    parts = [f'sub-{lookup["sub"]}']
    if lookup.get('ses'):
        parts.append(f'ses-{lookup["ses"]}')
    return '/'.join([*parts, datatype])


def figures_folder(participant: str) -> str:
    """Return the folder of a participant's report figures."""
    return f'sub-{participant}/figures'


def record_path(participant: str, key: str, part: str) -> str:
    """Return the path of what the report is made from; part is 'recon' or 'atlas'."""
    return f'sub-{participant}/log/{key}_{part}.json'


def report_path(participant: str) -> str:
    """Return the path of a participant's page."""
    return f'sub-{participant}.html'


def _path(entities: Sequence[tuple[str, str]], datatype: str, name: str) -> str:
    if datatype == 'fmap':
        entities = _fold_for_fmap(entities)
    stem = '_'.join(f'{k}-{v}' for k, v in entities)
    return f'{folder(entities, datatype)}/{stem}_{name}'


def _fold_for_fmap(entities: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keep what fmap allows; put the rest, as letters and digits, into acq."""
    lookup = {k: v for k, v in entities if k in _FMAP_ENTITIES}
    extra = ''.join(f'{k}{v}' for k, v in entities if k not in _FMAP_ENTITIES)
    if extra:
        lookup['acq'] = lookup.get('acq', '') + re.sub(r'[^0-9a-zA-Z]', '', extra)
    return [(k, lookup[k]) for k in _FMAP_ENTITIES if k in lookup]
