"""Writing an imported atlas as a folder in BIDS and TemplateFlow layout."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from qsmbids import __version__
from qsmbids.atlas.cohorts import Cohort
from qsmbids.atlas.dataset import SHARED_SPACE
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.images import voxel_size, write_image
from qsmbids.atlas.import_bin import BinFacts
from qsmbids.bids.write import write_json, write_text

PROVENANCE = 'import.json'
BIDS_VERSION = '1.11.1'
_ALIGNED = 2  # NIfTI form code: aligned to something, here to the atlas
_SUFFIXES = {
    'chi': 'res-1_Chimap', 'mask': 'res-1_desc-brain_mask', 't1w': 'res-1_T1w',
    't2starw': 'res-1_T2starw', 'chi_std': 'res-1_desc-std_Chimap', 'r2starmap': 'res-1_R2starmap',
}  # fmt: skip
_UNITS = {'chi': 'ppm', 'chi_std': 'ppm', 'r2starmap': '1/s', 't1w': 'arbitrary',
          't2starw': 'arbitrary'}  # fmt: skip
_WORDS = {
    'chi': 'Susceptibility template', 't1w': 'T1-weighted brain', 't2starw': 'GRE magnitude',
    'chi_std': 'Standard deviation of susceptibility over people', 'r2starmap': 'R2* template',
}  # fmt: skip


@dataclass(frozen=True)
class AtlasFacts:
    """What is written of an atlas besides its images.

    Parameters
    ----------
    name : str
    licence : str
        As the person who imports it stated it.
    licence_texts : mapping of str to str
        File name to text, kept beside the images.
    citation : str
        How to acknowledge it; '' if not told.
    cohorts : sequence of Cohort
    shares_space : bool
    decisions : sequence of str
        What was found out, asked and decided.
    source : Path
        The folder it is from.
    tables : sequence of Path
        Label table and mapping.
    """

    name: str
    licence: str
    cohorts: Sequence[Cohort]
    shares_space: bool
    source: Path
    licence_texts: Mapping[str, str] = field(default_factory=dict)
    citation: str = ''
    decisions: Sequence[str] = ()
    tables: Sequence[Path] = ()


def write_bin(
    root: Path, name: str, cohort: Cohort, facts: BinFacts, images: Mapping[str, np.ndarray]
) -> None:
    """Write images and sidecars of one age bin into ``root/tpl-<name>/cohort-<label>``."""
    stem = f'tpl-{name}_cohort-{cohort.label}'
    folder = root / f'tpl-{name}' / f'cohort-{cohort.label}'
    folder.mkdir(parents=True)
    reference = f'bids::tpl-{name}/cohort-{cohort.label}/{stem}_res-1_Chimap.nii.gz'
    for kind, array in images.items():
        ending = _SUFFIXES.get(kind, f'atlas-{name}_res-1_dseg')
        source = facts.files.images.get(kind)
        write_image(
            folder / f'{stem}_{ending}.nii.gz',
            _stored_type(kind, array),
            facts.affine,
            _ALIGNED,
        )
        sidecar: dict[str, Any] = {
            'SpatialReference': reference,
            'Resolution': ' x '.join(f'{s:.4g}' for s in voxel_size(facts.affine)) + ' mm',
            'CohortAgeRangeYears': [cohort.age_min, cohort.age_max],
            'Origin': f'Imported from {source.name}'
            if source
            else f'Derived from the background of {facts.files.images["chi"].name}',
        }
        if kind in _UNITS:
            sidecar = {'Description': _WORDS[kind], 'Units': _UNITS[kind], 'SkullStripped': True,
                       **sidecar}  # fmt: skip
        if kind == 'mask':
            sidecar = {'Type': 'Brain', **sidecar}
        write_json(folder / f'{stem}_{ending}.json', sidecar)


def _stored_type(kind: str, array: np.ndarray) -> np.ndarray:
    if kind == 'mask':
        return array.astype(np.uint8)
    if kind == 'dseg':
        return array.astype(np.int16 if array.max() < 2**15 else np.int32)
    return array.astype(np.float32)


def write_descriptions(
    root: Path, facts: AtlasFacts, labels: Sequence[Label], bins: Sequence[BinFacts]
) -> None:
    """Write tables, descriptions, licence and provenance of the atlas."""
    name = facts.name
    rows = ['index\tname\tabbreviation\themisphere\tgroup\tcolor\tregion']
    rows += [
        '\t'.join((str(b.index), b.name, b.abbreviation, b.hemisphere, b.group or 'n/a', b.color,
                   b.region))
        for b in labels
    ]  # fmt: skip
    acknowledge = facts.citation or 'As the authors of the atlas ask for.'
    credit = {'License': facts.licence, 'HowToAcknowledge': acknowledge}
    write_text(
        root / '.bidsignore',
        f'template_description.json\n{PROVENANCE}\n'
        + ''.join(f'{text}\n' for text in facts.licence_texts),
    )
    for file_name, text in facts.licence_texts.items():
        write_text(root / file_name, text)
    write_text(root / 'README.md', _readme(facts, labels))
    write_text(root / f'atlas-{name}_dseg.tsv', '\n'.join(rows) + '\n')
    write_json(
        root / 'dataset_description.json',
        {'Name': name, 'BIDSVersion': BIDS_VERSION, 'DatasetType': 'derivative', **credit,
         'GeneratedBy': [{'Name': 'qsmbids', 'Version': __version__,
                          'Description': 'qsmbids-atlas import'}]},
    )  # fmt: skip
    write_json(
        root / f'atlas-{name}_description.json',
        {'Name': name, **credit, 'Description': f'{len(labels)} regions, imported.',
         'Species': 'Human'},
    )  # fmt: skip
    write_json(root / f'tpl-{name}' / 'template_description.json', _template(facts, bins, credit))
    write_json(root / PROVENANCE, _provenance(facts, bins))


def _template(facts: AtlasFacts, bins: Sequence[BinFacts], credit: Mapping) -> dict[str, Any]:
    grids = {(p.shape, tuple(np.round(p.affine, 3).ravel())) for p in bins}
    shape, affine = bins[0].shape, bins[0].affine
    one_grid = {
        'res': {'1': {
            'origin': affine[:3, 3].tolist(), 'shape': list(shape),
            'zooms': voxel_size(affine).tolist(),
        }}
    } if len(grids) == 1 else {}  # fmt: skip
    return {
        'Name': facts.name,
        'Identifier': facts.name,
        'BIDSVersion': BIDS_VERSION,
        'TemplateFlowVersion': '1.0.0',
        'Species': 'Homo sapiens',
        **credit,
        SHARED_SPACE: facts.shares_space,
        **one_grid,
        'cohort': {
            c.label: {'name': c.name, 'age': [c.age_min, c.age_max], 'units': 'years'}
            for c in facts.cohorts
        },
    }


def _provenance(facts: AtlasFacts, bins: Sequence[BinFacts]) -> dict[str, Any]:
    digests: dict[Path, str] = {}
    for path in [*facts.tables, *(p for b in bins for p in b.files.images.values())]:
        digests.setdefault(path, sha256(path))
    return {
        'GeneratedBy': {'Name': 'qsmbids', 'Version': __version__},
        'Date': datetime.now(UTC).isoformat(timespec='seconds'),
        'SourceFolder': facts.source.resolve().name,
        'License': facts.licence,
        'Decisions': list(facts.decisions),
        'Tables': [{'Name': p.name, 'SHA256': digests[p]} for p in facts.tables],
        'Cohorts': {
            cohort.label: {
                'Files': {
                    kind: {'Name': _within(path, facts.source), 'SHA256': digests[path]}
                    for kind, path in one.files.images.items()
                },
                'Decisions': list(one.told),
            }
            for cohort, one in zip(facts.cohorts, bins, strict=True)
        },
    }


def _within(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with open(path, 'rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()


def _readme(facts: AtlasFacts, labels: Sequence[Label]) -> str:
    cohorts = '\n'.join(f'| {c.label} | {c.interval} | {c.name} |' for c in facts.cohorts)
    decisions = '\n'.join(f'* {sentence}' for sentence in facts.decisions)
    return f"""# {facts.name}

An age-specific susceptibility atlas with {len(labels)} regions, imported by `qsmbids-atlas import`
from the folder `{facts.source.resolve().name}`. The voxels keep their values (susceptibility in
ppm) and places; axes were put into the order right, front, top, and the background was set to 0.

Licence, as stated by the person who imported it: {facts.licence}

| cohort | age in years | name |
|---|---|---|
{cohorts}

What was found out and decided (files and checksums: `{PROVENANCE}`):

{decisions}
"""
