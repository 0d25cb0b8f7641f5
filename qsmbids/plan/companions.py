"""Images that go with a scan: a brain mask or T2 map from elsewhere, a T1-weighted image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from qsmbids.plan.filenames import BidsName
from qsmbids.plan.filters import Filter, matches
from qsmbids.plan.findings import Findings
from qsmbids.plan.images import ImageInfo
from qsmbids.plan.models import Acquisition
from qsmbids.plan.orientation import same_grid

Inspect = Callable[[Path], ImageInfo]


def find_t1w(
    images: Iterable[BidsName],
    used: Iterable[Path],
    session: str,
    conditions: Filter,
    inspect: Inspect,
    findings: Findings,
) -> str:
    """Choose the T1-weighted image of the same session.

    Parameters
    ----------
    images : iterable of BidsName
        All anatomical images of the participant.
    used : iterable of Path
        Images that already belong to a gradient-echo scan.
    session : str
        Session label of the scan, '' for none.
    conditions : dict
        The ``t1w`` filter.
    inspect : callable
        Looks at an image file.
    findings : Findings
        Receives T1W_UNUSABLE (warning) and SEVERAL_T1W (note).

    Returns
    -------
    str
        Absolute path; '' when there is none.
    """
    wanted = {'suffix': 'T1w', **conditions}
    used = set(used)
    candidates = [
        name
        for name in images
        if matches(name, wanted)
        and name.get('ses') == session
        and name.part in ('', 'mag')
        and not name.unknown()
        and name.path not in used
    ]
    usable = []
    for name in candidates:
        image = inspect(name.path)
        if image.problem or image.n_volumes != 1:
            findings.warning(
                'T1W_UNUSABLE',
                f'{findings.relative(name.path)} cannot be used: '
                f'{image.detail or "it holds several volumes"}.',
                'Registration then relies on the gradient-echo images alone.',
                'Repair or remove the image.',
                name.path,
            )
        else:
            usable.append(name)
    if not usable:
        return ''
    # the plainest name first: no contrast agent, no second run
    usable.sort(key=lambda name: ('ce' in name.entities, len(name.entities), name.path.name))
    if len(usable) > 1:
        findings.note(
            'SEVERAL_T1W',
            f'{findings.relative(usable[0].path)} is used of {len(usable)} T1-weighted images.',
            fix='Choose another under "t1w" in the filter file.',
        )
    return str(usable[0].path)


def find_brain_mask(
    acquisition: Acquisition,
    derivatives: Mapping[str, Path],
    asked_for: bool,
    inspect: Inspect,
    findings: Findings,
) -> str:
    """Choose a brain mask that lies on the grid of a scan.

    Parameters
    ----------
    acquisition : Acquisition
        The scan, with shape and affine.
    derivatives : mapping of str to Path
        Folders to search, by name; the first that has a fitting mask wins.
    asked_for : bool
        Whether a mask from there was explicitly wanted, so that its absence is worth a
        warning.
    inspect : callable
        Looks at an image file.
    findings : Findings
        Receives MASK_OTHER_GRID, MASK_UNUSABLE, MASK_NOT_FOUND (warnings).

    Returns
    -------
    str
        Absolute path; '' when there is none.

    Notes
    -----
    Candidates are ``sub-*/[ses-*/]anat/*_desc-brain_mask.nii.gz`` without ``space-``, all of
    whose entities are those of the scan. The one that shares most entities is tried first.
    """
    problems = Findings(findings.root, findings.scope)
    for name, folder in derivatives.items():
        for mask in _candidates(folder, acquisition, '*_desc-brain_mask.nii*'):
            image = inspect(mask.path)
            if image.problem or image.low == image.high or image.n_not_finite:
                problems.warning(
                    'MASK_UNUSABLE',
                    f'The brain mask {mask.path.name} of {name} cannot be used: '
                    f'{image.detail or "it has no inside and outside"}.',
                    'Another mask is made from the data.',
                    'Repair or remove it.',
                    mask.path,
                )
            elif not _on_grid(image, acquisition):
                problems.warning(
                    'MASK_OTHER_GRID',
                    f'The brain mask {mask.path.name} of {name} is not on the grid of the scan.',
                    'Masks are not resampled; another one is made from the data.',
                    'Resample it to the first magnitude image.',
                    mask.path,
                )
            else:
                return str(mask.path)
    if problems.issues:
        findings.extend(problems.issues)
    elif asked_for:
        findings.warning(
            'MASK_NOT_FOUND',
            f'No brain mask for this scan was found in {findings.listing(derivatives.values())}.',
            'Another one is made from the data.',
            f'It would be called {acquisition.key}_desc-brain_mask.nii.gz.',
        )
    return ''


def find_t2_map(
    acquisition: Acquisition,
    derivatives: Mapping[str, Path],
    inspect: Inspect,
    findings: Findings,
) -> str:
    """Choose a map of T2 or R2 that lies on the grid of a scan.

    Parameters
    ----------
    acquisition : Acquisition
        The scan, with shape and affine.
    derivatives : mapping of str to Path
        Folders to search, by name; the first that has a fitting map wins.
    inspect : callable
        Looks at an image file.
    findings : Findings
        Receives T2_MAP_UNUSABLE (warning).

    Returns
    -------
    str
        Absolute path of a ``_R2map`` (1/s) or ``_T2map`` (s); '' when there is none.
    """
    for name, folder in derivatives.items():
        for suffix in ('R2map', 'T2map'):
            for found in _candidates(folder, acquisition, f'*_{suffix}.nii*'):
                image = inspect(found.path)
                if not image.problem and _on_grid(image, acquisition):
                    return str(found.path)
                findings.warning(
                    'T2_MAP_UNUSABLE',
                    f'{found.path.name} of {name} cannot be used: '
                    f'{image.detail or "it is not on the grid of the scan"}.',
                    'Maps are not resampled; R2 then counts as unknown.',
                    'Resample it to the first magnitude image.',
                    found.path,
                )
    return ''


def _candidates(folder: Path, acquisition: Acquisition, ending: str) -> list[BidsName]:
    """Return files that end so and whose entities are all those of the scan, closest first."""
    session = f'ses-{acquisition.session}/' if acquisition.session else ''
    pattern = f'sub-{acquisition.participant}/{session}anat/{ending}'
    scan = dict(acquisition.entities)
    found = []
    for name in map(BidsName.parse, sorted(folder.glob(pattern))):
        own = {key: value for key, value in name.entities.items() if key != 'desc'}
        probe = BidsName(name.path, scan, '', '')
        if all(key in scan and name.get(key) == probe.get(key) for key in own):
            found.append(name)
    return sorted(found, key=lambda name: -len(name.entities))


def _on_grid(image: ImageInfo, acquisition: Acquisition) -> bool:
    return image.shape == acquisition.shape and same_grid(image, acquisition.affine, image.affine)
