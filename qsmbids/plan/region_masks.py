"""Lesions and veins that somebody has marked on the grid of a scan.

They are looked for in the folders given with ``--derivatives``:
``sub-*/[ses-*/]anat/*_label-<X>_mask.nii.gz`` (inside or outside) and ``..._dseg.nii.gz`` (a
number for each). What is measured follows from the label X, whatever its capitals:

* lesions: X contains one of ``LESION_WORDS``, or is one of ``LESION_LABELS`` (``L`` is the label
  that BIDS itself gives to lesions);
* veins: X contains one of ``VEIN_WORDS``.

Each label becomes one table. A marking that cannot be used is said, with the file and why; so
are labels that mean neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from qsmbids.plan.filenames import BidsName
from qsmbids.plan.findings import Findings
from qsmbids.plan.images import ImageInfo
from qsmbids.plan.models import ENTITY_ORDER, Acquisition, RegionMask
from qsmbids.plan.orientation import same_grid

LESION_WORDS = ('lesion', 'microbleed', 'calcification', 'cavernoma', 'haemorrhage', 'hemorrhage')
LESION_LABELS = ('l', 'cmb')
VEIN_WORDS = ('vein', 'vessel', 'venous')
SUFFIXES = ('mask', 'dseg')
_LEGAL_LABEL = re.compile(r'[0-9a-zA-Z+]+')
_FREE = ('label', 'desc')  # entities that a marking may have beside those of the scan

Inspect = Callable[[Path], ImageInfo]


def kind_of(label: str) -> str:
    """Return what a label means: 'lesions', 'veins' or ''.

    Examples
    --------
    >>> kind_of('rimLesion'), kind_of('L'), kind_of('internalCerebralVein'), kind_of('WM')
    ('lesions', 'lesions', 'veins', '')
    """
    word = label.lower()
    if word in LESION_LABELS or any(w in word for w in LESION_WORDS):
        return 'lesions'
    return 'veins' if any(w in word for w in VEIN_WORDS) else ''


def find_region_masks(
    acquisition: Acquisition,
    derivatives: Mapping[str, Path],
    inspect: Inspect,
    findings: Findings,
) -> tuple[RegionMask, ...]:
    """Choose the markings of lesions and veins that lie on the grid of a scan.

    Parameters
    ----------
    acquisition : Acquisition
        The scan, with shape and affine.
    derivatives : mapping of str to Path
        Folders to search, by name.
    inspect : callable
        Looks at an image file.
    findings : Findings
        Receives REGION_MASK_UNUSABLE, REGION_MASK_OTHER_GRID, REGION_MASK_OTHER_SPACE,
        REGION_MASK_TWICE (warnings), REGION_MASK_EMPTY, REGION_MASK_NO_PHASE and
        REGION_MASKS_LEFT_OUT (notes).

    Returns
    -------
    tuple of RegionMask
        Lesions first, by label. Of several files with the same label the one is taken that
        shares most entities with the scan, in the first folder that has one.
    """
    chosen: dict[str, RegionMask] = {}
    left_out: set[str] = set()
    for name, folder in derivatives.items():
        for found in _candidates(folder, acquisition):
            label = found.entities['label']
            kind = kind_of(label)
            if not kind:
                left_out.add(label)
                continue
            image = inspect(found.path)
            problem = _problem(found, image, acquisition)
            if problem:
                code, detail, fix = problem
                findings.warning(
                    code,
                    f'The marking {found.path.name} of {name} cannot be used: {detail}.',
                    f'Its {kind} are not measured; the rest of the scan is not concerned.',
                    fix,
                    found.path,
                )
            elif label.lower() in chosen:
                findings.warning(
                    'REGION_MASK_TWICE',
                    f'The marking {found.path.name} of {name} is not used: '
                    f'{Path(chosen[label.lower()].path).name} has the same label.',
                    'Each label makes one table.',
                    'Give it another label, such as label-lesion2.',
                    found.path,
                )
            else:
                if image.high <= 0:
                    findings.note(
                        'REGION_MASK_EMPTY',
                        f'The marking {found.path.name} of {name} is empty: its table will be, '
                        'too.',
                        path=found.path,
                    )
                chosen[label.lower()] = RegionMask(
                    str(found.path), label, kind, found.suffix == 'dseg'
                )
    if left_out:
        findings.note(
            'REGION_MASKS_LEFT_OUT',
            f'Markings with the label {", ".join(sorted(left_out))} are not measured: neither '
            'lesions nor veins.',
            fix='What counts as lesion or vein stands in docs/lesions.md.',
        )
    if chosen and acquisition.phase_scaling is None:
        findings.note(
            'REGION_MASK_NO_PHASE',
            'Lesions or veins are marked, but there is no phase: nothing can be measured in them.',
        )
        return ()
    return tuple(sorted(chosen.values(), key=lambda mask: (mask.kind, mask.label)))


def _candidates(folder: Path, acquisition: Acquisition) -> list[BidsName]:
    """Return the markings of the scan, closest first; those of other scans are left out."""
    session = f'ses-{acquisition.session}/' if acquisition.session else ''
    place = folder / f'sub-{acquisition.participant}' / session / 'anat'
    scan = BidsName(Path(), dict(acquisition.entities), '', '')
    found = []
    for suffix in SUFFIXES:
        for name in map(BidsName.parse, sorted(place.glob(f'*_label-*_{suffix}.nii*'))):
            own = [key for key in name.entities if key in ENTITY_ORDER]
            if all(key in scan.entities and name.get(key) == scan.get(key) for key in own):
                found.append(name)
    return sorted(found, key=lambda name: -sum(key in ENTITY_ORDER for key in name.entities))


def _problem(
    name: BidsName, image: ImageInfo, acquisition: Acquisition
) -> tuple[str, str, str] | None:
    """Return code, words and remedy for a marking that cannot be used; None for a good one."""
    repair, unusable = 'Repair or remove it.', 'REGION_MASK_UNUSABLE'
    strange = [k for k in name.entities if k not in ENTITY_ORDER and k not in _FREE]
    if strange:
        entity = f'{strange[0]}-{name.entities[strange[0]]}'
        return (
            'REGION_MASK_OTHER_SPACE',
            f'its name has {entity}, so it is not taken to be in the space of the scan',
            f'If it is on the grid of the scan, leave {entity} out of its name.',
        )
    if not _LEGAL_LABEL.fullmatch(name.entities['label']):
        return unusable, 'its label is not made of letters and digits', 'Rename it.'
    if image.problem:
        return unusable, image.detail, repair
    if image.n_volumes != 1:
        return unusable, 'it holds several volumes', 'Write each into a file of its own.'
    if image.n_not_finite:
        return unusable, 'some of its values are not finite', repair
    if image.low == image.high > 0:
        return unusable, 'it marks every voxel', repair
    on_grid = image.shape[:3] == acquisition.shape and same_grid(
        image, acquisition.affine, image.affine
    )
    if not on_grid:
        return (
            'REGION_MASK_OTHER_GRID',
            'it is not on the grid of the scan, and markings are not resampled',
            'Resample it to the first magnitude image, with nearest neighbour.',
        )
    return None
