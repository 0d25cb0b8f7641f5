"""Reading an atlas from a folder in TemplateFlow layout with cohorts (age bins).

What is needed: ``tpl-<T>/template_description.json`` with the age of each cohort, a label
table ``atlas-<A>_dseg.tsv``, and per cohort a susceptibility map (``_Chimap``), a brain
mask (``_desc-brain_mask``) and a label image (``_atlas-<A>..._dseg``). A T1-weighted brain
(``_T1w``) and a GRE magnitude (``_T2starw``) help registration; the variation between people
(``_desc-std_Chimap``) and ``_R2starmap`` are found if they are there. Label indices are never
assumed: everything comes from the table.

What makes an atlas unusable is refused. What can be used, but should be known (age bins that
overlap or leave gaps), is told by `Atlas.findings`.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsmbids.atlas.checks import check_images
from qsmbids.atlas.cohorts import Cohort, cohort_findings
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.sides import side_of_column, sides_of_names

_UNITS_PER_YEAR = {'year': 1.0, 'month': 12.0, 'week': 52.1775, 'day': 365.2425}
SHARED_SPACE = 'CohortsShareSpace'  # key of template_description.json


@dataclass(frozen=True)
class AtlasFiles:
    """Images of one cohort, all on one grid."""

    chi: Path  # ppm
    mask: Path
    dseg: Path
    t1w: Path | None = None  # skull-stripped
    t2starw: Path | None = None  # skull-stripped
    chi_std: Path | None = None  # ppm, standard deviation over the people behind the map
    r2starmap: Path | None = None  # 1/s


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

    @property
    def shares_space(self) -> bool:
        """Whether the templates of all cohorts lie in one space, voxel for voxel."""
        return self.description.get(SHARED_SPACE) is True

    @property
    def findings(self) -> tuple[str, ...]:
        """Sentences on what can be used but should be known: ages that overlap or have gaps."""
        return cohort_findings(self.cohorts)

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
            'chi_std': _find(folder, stem, r'desc-std_Chimap'),
            'r2starmap': _find(folder, stem, r'R2starmap'),
        }
        missing = [key for key in ('chi', 'mask', 'dseg') if found[key] is None]
        if missing:
            raise AtlasError(
                f'{folder} has no image for {", ".join(missing)}.',
                'Susceptibility map, brain mask and labels are needed to place regions.',
                f'Add {stem}_[res-1_]Chimap, _desc-brain_mask and _atlas-<name>_dseg (.nii.gz).',
            )
        files = AtlasFiles(**found)
        check_images(files, self.labels)
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
    if not template.name.removeprefix('tpl-').isalnum():
        raise AtlasError(
            f'the name of the atlas in {template} is not made of letters and digits.',
            'It becomes part of BIDS file names, which allow nothing else.',
            'Rename the folder tpl-<name> and the files in it.',
        )
    return Atlas(
        name=template.name.removeprefix('tpl-'),
        root=template.parent,
        cohorts=_cohorts(description, template),
        labels=_labels(template),
        description=description,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
    except FileNotFoundError:
        raise AtlasError(
            f'there is no {path}.',
            'It holds the age range of each cohort.',
            'Add it as TemplateFlow describes it, with an entry "cohort".',
        ) from None
    except (OSError, ValueError) as error:  # a folder, not permitted, not UTF-8, not JSON
        raise AtlasError(
            f'{path} is not readable as JSON: {error}.',
            'It holds the age range of each cohort.',
            'Correct the file.',
        ) from None
    return content if isinstance(content, dict) else {}


def _cohorts(description: dict[str, Any], template: Path) -> tuple[Cohort, ...]:
    entries = description.get('cohort')
    if not isinstance(entries, dict) or not entries:
        raise _no_cohorts(template, 'there is no entry "cohort"')
    cohorts = (_cohort(str(label), entry, template) for label, entry in entries.items())
    return tuple(sorted(cohorts, key=lambda c: (c.age_min, c.age_max, int(c.label))))


def _cohort(label: str, entry: Any, template: Path) -> Cohort:
    if not label.isdecimal():
        raise _no_cohorts(template, f'cohort "{label}" is not named by digits')
    try:
        per_year = _UNITS_PER_YEAR[str(entry.get('units', 'years')).lower().rstrip('s')]
        low, high = (float(limit) / per_year for limit in entry['age'])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _no_cohorts(template, f'cohort "{label}" has no readable age and units') from None
    if not 0 <= low < high:
        raise _no_cohorts(template, f'the ages of cohort "{label}" are not in order')
    return Cohort(label, str(entry.get('name', label)), low, high)


def _no_cohorts(template: Path, why: str) -> AtlasError:
    return AtlasError(
        f'template_description.json in {template} does not describe its cohorts: {why}.',
        'The age bin of a person is chosen by them.',
        'Write "cohort": {"1": {"name": "20s", "age": [20, 30], "units": "years"}, ...}, '
        'labels of digits only.',
    )


def _labels(template: Path) -> tuple[Label, ...]:
    tables = [t for place in (template.parent, template) for t in place.glob('atlas-*_dseg.tsv')]
    if len(tables) != 1:
        raise AtlasError(
            f'{template.parent} holds {len(tables)} label tables atlas-<name>_dseg.tsv.',
            'Exactly one is needed to name the labels.',
            'Add a table with the columns index and name (tab separated).',
        )
    try:
        text = tables[0].read_text(encoding='utf-8-sig')  # spreadsheets begin with a mark
        reader = csv.DictReader(text.splitlines(), delimiter='\t')
        rows = list(reader)
        absent = [name for name in ('index', 'name') if name not in (reader.fieldnames or ())]
        if absent:
            raise ValueError(f'no column {" and no column ".join(absent)}')
        rows = [row for row in rows if int(row['index']) != 0]
        names = sides_of_names(row['name'].strip() for row in rows)
        labels = tuple(_label(row, *found) for row, found in zip(rows, names, strict=True))
        if not labels or len({label.index for label in labels}) != len(labels):
            raise ValueError('no label, or the same index twice')
    except (AttributeError, KeyError, OSError, TypeError, ValueError, csv.Error) as error:
        raise AtlasError(
            f'{tables[0]} is not a label table ({error}).',
            'Names of regions are taken from it.',
            'Give it the columns index (unique whole numbers) and name, tab separated.',
        ) from None
    return labels


def _label(row: dict[str, str], side_of_name: str, bare_name: str) -> Label:
    cells = {key: (text or '').strip() for key, text in row.items() if isinstance(key, str)}
    cells = {key: '' if text.lower() == 'n/a' else text for key, text in cells.items()}
    name = cells['name']
    if not name:
        raise ValueError(f'label {row["index"]} has no name')
    side = side_of_column(cells.get('hemisphere', ''))
    if side is None:
        raise ValueError(f'hemisphere "{row["hemisphere"]}" of {name} is none of L, R and B')
    return Label(
        index=int(cells['index']),
        name=name,
        abbreviation=cells.get('abbreviation') or name,
        hemisphere=side or side_of_name or 'B',
        group=cells.get('group', ''),
        color=cells.get('color') or '#808080',
        region=cells.get('region') or bare_name,
    )


def _find(folder: Path, stem: str, ending: str, bare: bool = True) -> Path | None:
    """Return the image of a name; of several resolutions the first, which is the finest.

    Files lie in the folder or in its ``anat``. ``bare`` adds the optional res entity.
    """
    resolution = '(res-[0-9]+_)?' if bare else ''
    pattern = re.compile(rf'{re.escape(stem)}_{resolution}{ending}\.nii(\.gz)?')
    candidates = (f for place in (folder, folder / 'anat') for f in sorted(place.glob('*.nii*')))
    return next((f for f in candidates if pattern.fullmatch(f.name)), None)
