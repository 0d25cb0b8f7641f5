"""Anatomy of the Allen Human Reference Atlas 3D, 2020, for people who are warped from it.

The atlas has 141 structures at 0.5 mm in the space of the MNI152 template, without
hemispheres: left and right are told apart by the sign of x. Structures that make up a region
with an age curve are merged here; all others keep their acronym. The grouping is that of the
phantom, written down apart from any atlas that is made of the same data, so that an error
there cannot hide.

References
----------
Ding S-L, et al. Comprehensive cellular-resolution atlas of the adult human brain. J Comp
Neurol 2016;524:3127-3481. https://doi.org/10.1002/cne.24080 (CC BY 4.0, RRID SCR_017764)
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from qsmbids.atlas.geometry import Label
from qsmbids.lifespan.prior import REGIONS
from qsmbids.phantom.label_anatomy import LabelAnatomy, curve_kinds, read_canonical

IMAGE, NAMES = 'AllenAtlas.nii.gz', 'AllenAtlas.json'
BACKGROUND = 'Air'
SOURCE = (
    'the regions of the Allen Human Reference Atlas 3D 2020 (Ding et al. 2016,\n'
    'https://doi.org/10.1002/cne.24080, CC BY 4.0; merged, divided and warped here)'
)
# acronyms of the atlas by region; the rest stand alone
_MEMBERS = {
    'Caudate': 'CaH CaB CaT',
    'Putamen': 'Pu PuPV',
    'NucleusAccumbens': 'NAC',
    'GlobusPallidusExternal': 'GPe',
    'GlobusPallidusInternal': 'GPi',
    'SubthalamicNucleus': 'STH',
    'SubstantiaNigra': 'SN',
    'RedNucleus': 'RN',
    'DentateNucleus': 'CbDN',
    'ThalamusAnterior': 'ANC LD',
    'ThalamusMedian': 'MD Re CM Pf',
    'ThalamusLateral': 'VA VL VPL VPM LP',
    'ThalamusRest': 'THM',
    'Pulvinar': 'Pul',
    'Hippocampus': 'HiH HiB HiT',
    'Amygdala': 'AMY AAA CEN La BL BM CoA CoP Me AHA',
    'OpticRadiation': 'or',
    'CerebralPeduncle': 'cpd',
    'LateralVentricle': 'aLV bLV pLV iLV xLV',
}
_CALLOSUM = 'cc'
# front, middle and back third of the corpus callosum along y
_CALLOSAL_PARTS = ('CorpusCallosumGenu', 'CorpusCallosumBody', 'CorpusCallosumSplenium')
_OTHER_CURVES = {'ThalamusRest': 'ThalamusLateral', '3V': 'LateralVentricle'}
_SIDES = {'L': 'Left', 'R': 'Right', 'B': ''}


def allen_anatomy(folder: str | os.PathLike[str]) -> LabelAnatomy:
    """Read the atlas from the folder that holds its image and its list of names.

    Parameters
    ----------
    folder : path
        With ``AllenAtlas.nii.gz`` and ``AllenAtlas.json``.

    Returns
    -------
    LabelAnatomy
        Left regions have odd labels, right ones the even number after; regions on the
        midline come last.

    Raises
    ------
    ValueError
        If a structure that is expected is not in the list of names.
    """
    folder = Path(folder)
    raw, affine = read_canonical(folder / IMAGE)
    content = json.loads((folder / NAMES).read_text(encoding='utf-8'))
    names = content['labels']
    colors = [
        f'#{r:02x}{g:02x}{b:02x}'
        for r, g, b in zip(content['R'], content['G'], content['B'], strict=True)
    ]
    present = np.bincount(raw.reshape(-1), minlength=len(names)) > 0
    groups = _groups(names, folder / NAMES)
    paired = {
        region: [names.index(acronym) for acronym in acronyms]
        for region, acronyms in groups.items()
        if any(present[names.index(acronym)] for acronym in acronyms)
    }
    lookup = np.zeros(len(names), dtype=np.int16)
    table = []
    for number, (region, values) in enumerate(paired.items()):
        lookup[values] = 2 * number + 1
        color = colors[values[0]]
        table += [_label(2 * number + 1 + (s == 'R'), region, s, color) for s in 'LR']
    x = affine[0, 3] + affine[0, 0] * np.arange(raw.shape[0])
    labels = lookup[raw]
    labels[x >= 0] += labels[x >= 0] > 0

    first = 2 * len(paired) + 1
    table += [
        _label(first + i, part, 'B', colors[names.index(_CALLOSUM)])
        for i, part in enumerate(_CALLOSAL_PARTS)
    ]
    _divide_callosum(labels, raw == names.index(_CALLOSUM), first)
    own = {region: region for region in (*paired, *_CALLOSAL_PARTS) if region in REGIONS}
    return LabelAnatomy(
        labels, affine[:3, 3], float(affine[0, 0]), tuple(table), own | _OTHER_CURVES,
        source=SOURCE, licence='CC BY 4.0',
    )  # fmt: skip


def _groups(names: list[str], source: Path) -> dict[str, list[str]]:
    """Return the acronyms of each paired region, merged ones first."""
    groups = {region: acronyms.split() for region, acronyms in _MEMBERS.items()}
    merged = {acronym for acronyms in groups.values() for acronym in acronyms}
    missing = sorted((merged | {_CALLOSUM}) - set(names))
    if missing:
        raise ValueError(
            f'{source} does not name {", ".join(missing)}.\n'
            'Regions of the simulated person are made of these structures.\n'
            'Give the Allen Human Reference Atlas 3D of 2020.'
        )
    alone = [n for n in names if n not in merged and n not in (_CALLOSUM, BACKGROUND)]
    return groups | {name: [name] for name in alone}


def _divide_callosum(labels: np.ndarray, callosum: np.ndarray, first: int) -> None:
    """Label thirds of the callosum along y, from the front."""
    y = np.nonzero(callosum.any(axis=(0, 2)))[0]
    edges = np.linspace(y[0], y[-1] + 1, len(_CALLOSAL_PARTS) + 1)
    for i, part in enumerate(range(len(_CALLOSAL_PARTS) - 1, -1, -1)):
        plane = slice(round(edges[i]), round(edges[i + 1]))
        labels[:, plane][callosum[:, plane]] = first + part


def _label(index: int, region: str, side: str, color: str) -> Label:
    suffix = '' if side == 'B' else f'-{side}'
    group = curve_kinds().get(region, 'other')
    return Label(index, region + _SIDES[side], region + suffix, side, group, color, region)
