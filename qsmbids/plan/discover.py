"""Finds the images of one person at a time and sorts them into scans."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsmbids.plan.filenames import BidsName
from qsmbids.plan.filters import Filter, matches
from qsmbids.plan.findings import Findings
from qsmbids.plan.index import ImageIndex
from qsmbids.plan.models import ENTITY_ORDER

# suffixes of gradient-echo images, the preferred one first; GRE is what old converters wrote
GRE_SUFFIXES = ('MEGRE', 'T2starw', 'GRE')
# made from filtered phase: recognisable, but no input of a susceptibility map
SWI_SUFFIXES = ('swi', 'SWI', 'minip', 'minIP', 'mIP', 'MIP')
PARTS = ('', 'mag', 'phase', 'real', 'imag')
_LABEL = re.compile(r'[0-9a-zA-Z+]+')


@dataclass(frozen=True)
class Scan:
    """All files of one GRE scan, sorted by name."""

    suffix: str
    files: tuple[BidsName, ...]

    @property
    def entities(self) -> tuple[tuple[str, str], ...]:
        """What tells the scan from others, as written in its first file, in BIDS order."""
        written = self.files[0].entities
        return tuple((key, written[key]) for key in ENTITY_ORDER if key in written)

    @property
    def key(self) -> str:
        """The entities joined as in a file name."""
        return '_'.join(f'{key}-{value}' for key, value in self.entities)


def list_participants(bids_dir: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List who is in a dataset.

    Parameters
    ----------
    bids_dir : Path
        The dataset.

    Returns
    -------
    labels : tuple of str
        Participant labels without ``sub-``, sorted.
    refused : tuple of str
        Names of ``sub-`` folders that are no valid labels.
    """
    folders = sorted(p.name for p in bids_dir.glob('sub-*') if p.is_dir())
    labels = [name.removeprefix('sub-') for name in folders]
    good = tuple(label for label in labels if _LABEL.fullmatch(label))
    return good, tuple(f'sub-{label}' for label in labels if not _LABEL.fullmatch(label))


def list_sessions(bids_dir: Path, participant: str) -> tuple[str, ...]:
    """List the session labels of a participant, without ``ses-``, sorted."""
    folders = (bids_dir / f'sub-{participant}').glob('ses-*')
    return tuple(sorted(p.name.removeprefix('ses-') for p in folders if p.is_dir()))


def find_images(
    index: ImageIndex, participant: str, sessions: Sequence[str], findings: Findings
) -> tuple[BidsName, ...]:
    """List the anatomical images of one participant.

    Parameters
    ----------
    index : ImageIndex
        Of the dataset.
    participant : str
        Label without ``sub-``.
    sessions : sequence of str
        Labels to keep; empty keeps all.
    findings : Findings
        Receives MISPLACED_FILE (warning).

    Returns
    -------
    tuple of BidsName
        Sorted by path. Links that lead nowhere are among them.

    """
    images = []
    for name in map(BidsName.parse, index.images(participant)):
        folder_session = next(
            (part[4:] for part in name.path.parts[:-1] if part.startswith('ses-')), ''
        )
        if (name.get('sub'), name.get('ses')) != (participant, folder_session):
            findings.warning(
                'MISPLACED_FILE',
                f'{findings.relative(name.path)} is left out: its name belongs to another folder.',
                'The participant and session in a name must be those of its folders.',
                'Rename or move the file.',
                name.path,
            )
        elif not sessions or folder_session in sessions:
            images.append(name)
    return tuple(images)


def group_scans(
    images: Iterable[BidsName], conditions: Filter, findings: Findings
) -> tuple[Scan, ...]:
    """Sort gradient-echo images into scans.

    Images belong to one scan when they share the suffix and all entities except ``echo``
    and ``part``.

    Parameters
    ----------
    images : iterable of BidsName
        All images of one participant.
    conditions : dict
        The ``megre`` filter. A ``suffix`` in it replaces the usual suffixes, which is how
        a ``part-phase_T1w`` scan is asked for.
    findings : Findings
        Receives the reasons why images are left out.

    Returns
    -------
    tuple of Scan
        Sorted by entities.
    """
    wanted = {'suffix': list(GRE_SUFFIXES), **conditions}
    groups: dict[Any, list[BidsName]] = defaultdict(list)
    filtered = []
    for name in images:
        if matches(name, wanted):
            if _understood(name, findings):
                groups[(name.scan(), name.suffix)].append(name)
        elif 'suffix' not in conditions and name.suffix in SWI_SUFFIXES:
            filtered.append(name.path)
    if filtered:
        findings.note(
            'SWI_LEFT_OUT',
            f'Left out: {findings.listing(filtered)}. Susceptibility-weighted images are made '
            'from filtered phase.',
            'The filter removes the field that a susceptibility map is made of.',
            'Export the unfiltered phase of the same scan.',
            filtered[0],
        )
    scans = (Scan(suffix, tuple(files)) for (_, suffix), files in groups.items())
    return _one_per_key(sorted(scans, key=lambda scan: scan.key), findings)


def _understood(name: BidsName, findings: Findings) -> bool:
    """Tell whether every piece of a name has a meaning here."""
    file = findings.relative(name.path)
    if 'coil' in name.entities:
        findings.warning(
            'UNCOMBINED_COILS',
            f'{file} is left out: it holds a single receive coil.',
            'Coils taken for echoes would give a meaningless field.',
            'Combine the coils (for example with MCPC-3D-S or ASPIRE) and save the result.',
            name.path,
        )
    elif name.unknown():
        findings.warning(
            'UNKNOWN_ENTITY',
            f'{file} is left out: "{name.unknown()[0]}" is no entity of a raw image.',
            'It is not clear what it tells apart.',
            'Use acq- or rec- for free labels.',
            name.path,
        )
    elif name.part not in PARTS:
        findings.warning(
            'UNKNOWN_PART',
            f'{file} is left out: part-{name.part} means nothing.',
            'Magnitude and phase are told apart by this entity.',
            'Use part-mag, part-phase, part-real or part-imag.',
            name.path,
        )
    else:
        return True
    return False


def _one_per_key(scans: Iterable[Scan], findings: Findings) -> tuple[Scan, ...]:
    """Keep one scan where several differ by the suffix only: their outputs share a name."""
    by_key: dict[str, list[Scan]] = defaultdict(list)
    for scan in scans:
        by_key[scan.key].append(scan)
    kept = []
    for rivals in by_key.values():
        rivals.sort(key=lambda scan: (not _has_phase(scan), _preference(scan.suffix)))
        kept.append(rivals[0])
        for scan in rivals[1:]:
            say = findings.warning if _has_phase(scan) else findings.note
            say(
                'OTHER_SUFFIX_LEFT_OUT',
                f'Left out: {findings.listing(f.path for f in scan.files)}. '
                f'{scan.key}_{rivals[0].suffix} is used.',
                'Results are named by entities alone, so the two would overwrite each other.',
                f'To use it instead, set "suffix": "{scan.suffix}" under "megre" in the filter '
                'file.',
                scan.files[0].path,
            )
    return tuple(kept)


def _has_phase(scan: Scan) -> bool:
    return any(name.part in ('phase', 'real', 'imag') for name in scan.files)


def _preference(suffix: str) -> int:
    return GRE_SUFFIXES.index(suffix) if suffix in GRE_SUFFIXES else len(GRE_SUFFIXES)
