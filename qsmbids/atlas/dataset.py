"""Reading an atlas from a folder in TemplateFlow layout with cohorts (age bins).

What is needed: ``tpl-<T>/template_description.json`` with the age of each cohort, a label
table ``atlas-<A>_dseg.tsv``, and per cohort a susceptibility map (``_Chimap``), a brain
mask (``_desc-brain_mask``) and a label image (``_atlas-<A>..._dseg``). A T1-weighted brain
(``_T1w``) and a GRE magnitude (``_T2starw``) help registration. Label indices are never
assumed: everything comes from the table.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from qsmbids.atlas.cohorts import Cohort
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.images import read_image, same_grid

_UNITS_PER_YEAR = {'year': 1.0, 'month': 12.0, 'week': 52.1775, 'day': 365.2425}
MAX_CHI_PPM = 5.0  # a 99th percentile above this means ppb, not ppm


@dataclass(frozen=True)
class AtlasFiles:
    """Images of one cohort, all on one grid."""

    chi: Path  # ppm
    mask: Path
    dseg: Path
    t1w: Path | None = None  # skull-stripped
    t2starw: Path | None = None  # skull-stripped


@dataclass(frozen=True)
class Atlas:
    """An atlas folder that has been opened.

    Parameters
    ----------
    name : str
        As in ``tpl-<name>``.
    root : Path
        The folder that holds ``tpl-<name>``.
    cohorts : tuple of Cohort
        Youngest first.
    labels : tuple of Label
        The label table, without background.
    description : dict
        Content of ``template_description.json``.
    """

    name: str
    root: Path
    cohorts: tuple[Cohort, ...]
    labels: tuple[Label, ...]
    description: dict[str, Any]

    def files(self, cohort_label: str) -> AtlasFiles:
        """Find and check the images of one cohort.

        Raises
        ------
        AtlasError
            If an image is missing or unreadable, grids differ, labels are not in the
            table or lie on the wrong side, or susceptibility is not in ppm.
        """
        folder = self.root / f'tpl-{self.name}' / f'cohort-{cohort_label}'
        stem = f'tpl-{self.name}_cohort-{cohort_label}'
        found = {
            'chi': _find(folder, stem, r'Chimap'),
            'mask': _find(folder, stem, r'desc-brain_mask'),
            'dseg': _find(folder, stem, r'atlas-[A-Za-z0-9+]+_(res-[0-9]+_)?dseg', bare=False),
            't1w': _find(folder, stem, r'T1w'),
            't2starw': _find(folder, stem, r'T2starw'),
        }
        missing = [key for key in ('chi', 'mask', 'dseg') if found[key] is None]
        if missing:
            raise AtlasError(
                f'{folder} has no image for {", ".join(missing)}.',
                'Susceptibility map, brain mask and labels are needed to place regions.',
                f'Add {stem}_[res-1_]Chimap, _desc-brain_mask and _atlas-<name>_dseg (.nii.gz).',
            )
        files = AtlasFiles(**found)
        _check(files, self.labels)
        return files


def open_atlas(path: Path | str) -> Atlas:
    """Open an atlas folder.

    Parameters
    ----------
    path : Path
        The folder that holds ``tpl-<name>``, or ``tpl-<name>`` itself.

    Returns
    -------
    Atlas

    Raises
    ------
    AtlasError
        If the folder does not have the layout; the text says what is missing.
    """
    path = Path(path)
    templates = [path] if path.name.startswith('tpl-') else sorted(path.glob('tpl-*'))
    if len(templates) != 1 or not templates[0].is_dir():
        raise AtlasError(
            f'{path} holds {len(templates)} folders named tpl-<name>.',
            'An atlas is a folder with exactly one of them.',
            'Give the folder of one atlas.',
        )
    template = templates[0]
    description = _read_json(template / 'template_description.json')
    return Atlas(
        name=template.name.removeprefix('tpl-'),
        root=template.parent,
        cohorts=_cohorts(description, template),
        labels=_labels(template),
        description=description,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise AtlasError(
            f'there is no {path}.',
            'It holds the age range of each cohort.',
            'Add it as TemplateFlow describes it, with an entry "cohort".',
        ) from None
    except ValueError as error:  # text that is not UTF-8 or not JSON
        raise AtlasError(
            f'{path} is not readable as JSON: {error}.',
            'It holds the age range of each cohort.',
            'Correct the file.',
        ) from None
    return content if isinstance(content, dict) else {}


def _cohorts(description: dict[str, Any], template: Path) -> tuple[Cohort, ...]:
    entries = description.get('cohort')
    try:
        cohorts = []
        for label, entry in entries.items():
            per_year = _UNITS_PER_YEAR[str(entry.get('units', 'years')).lower().rstrip('s')]
            low, high = (float(limit) / per_year for limit in entry['age'])
            if not (str(label).isdigit() and 0 <= low < high):
                raise ValueError(label)
            cohorts.append(Cohort(str(label), str(entry.get('name', label)), low, high))
        if not cohorts:
            raise ValueError('empty')
    except (AttributeError, KeyError, TypeError, ValueError):
        raise AtlasError(
            f'template_description.json in {template} does not describe its cohorts.',
            'The age bin of a person is chosen by them.',
            'Write "cohort": {"1": {"name": "20s", "age": [20, 30], "units": "years"}, ...}, '
            'labels of digits only.',
        ) from None
    return tuple(sorted(cohorts, key=lambda cohort: cohort.age_min))


def _labels(template: Path) -> tuple[Label, ...]:
    tables = [t for place in (template.parent, template) for t in place.glob('atlas-*_dseg.tsv')]
    if len(tables) != 1:
        raise AtlasError(
            f'{template.parent} holds {len(tables)} label tables atlas-<name>_dseg.tsv.',
            'Exactly one is needed to name the labels.',
            'Add a table with the columns index and name (tab separated).',
        )
    try:
        text = tables[0].read_text(encoding='utf-8')
        rows = list(csv.DictReader(text.splitlines(), delimiter='\t'))
        labels = tuple(_label(row) for row in rows if int(row['index']) != 0)
        if not labels or len({label.index for label in labels}) != len(labels):
            raise ValueError('no label, or the same index twice')
    except (KeyError, TypeError, ValueError) as error:
        raise AtlasError(
            f'{tables[0]} is not a label table ({error}).',
            'Names of regions are taken from it.',
            'Give it the columns index (unique whole numbers) and name, tab separated.',
        ) from None
    return labels


def _label(row: dict[str, str]) -> Label:
    name = row['name'].strip()
    return Label(
        index=int(row['index']),
        name=name,
        abbreviation=row.get('abbreviation') or name,
        hemisphere=row.get('hemisphere') or 'B',
        group=row.get('group') or '',
        color=row.get('color') or '#808080',
        region=row.get('region') or name,
    )


def _find(folder: Path, stem: str, ending: str, bare: bool = True) -> Path | None:
    """Return the image of a name; of several resolutions the first, which is the finest.

    Files lie in the folder or in its ``anat``. ``bare`` adds the optional res entity.
    """
    resolution = '(res-[0-9]+_)?' if bare else ''
    pattern = re.compile(rf'{re.escape(stem)}_{resolution}{ending}\.nii(\.gz)?')
    candidates = (f for place in (folder, folder / 'anat') for f in sorted(place.glob('*.nii*')))
    return next((f for f in candidates if pattern.fullmatch(f.name)), None)


def _check(files: AtlasFiles, labels: tuple[Label, ...]) -> None:
    """Raise AtlasError unless the images of a cohort fit together and to the table."""
    chi, affine = read_image(files.chi)
    for path in (files.mask, files.dseg, files.t1w, files.t2starw):
        if path is not None and not same_grid(path, files.chi):
            raise AtlasError(
                f'{path.name} and {files.chi.name} are not on the same grid.',
                'All images of a cohort are used voxel by voxel.',
                'Resample one of them.',
            )
    if np.percentile(np.abs(chi[chi != 0]), 99) > MAX_CHI_PPM:
        raise AtlasError(
            f'{files.chi} has values far above {MAX_CHI_PPM:g} ppm.',
            'Susceptibility is expected in ppm; these look like ppb.',
            'Divide the map by 1000.',
        )
    dseg = np.rint(read_image(files.dseg)[0]).astype(np.int32)
    unnamed = sorted(set(np.unique(dseg).tolist()) - {0} - {label.index for label in labels})
    if unnamed:
        raise AtlasError(
            f'{files.dseg} holds labels that the table does not name: {unnamed[:10]}.',
            'Regions are named from the table.',
            'Add the rows, or remove the labels.',
        )
    present = [label for label in labels if label.hemisphere in ('L', 'R')]
    centres = ndimage.center_of_mass(dseg > 0, dseg, [label.index for label in present])
    for label, centre in zip(present, centres, strict=True):
        x = float((affine @ np.append(centre, 1))[0])  # NaN, and so no error, if it is absent
        if (label.hemisphere == 'L' and x > 0) or (label.hemisphere == 'R' and x < 0):
            raise AtlasError(
                f'the label {label.name} lies on the wrong side in {files.dseg} (x = {x:.0f} mm; '
                'left is negative).',
                'Left and right would be exchanged in every table.',
                'Correct the affine of the image or the column hemisphere.',
            )
