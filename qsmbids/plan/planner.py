"""Makes the plan of a run: who, which scans, what was decided, what is left out and why."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from qsmbids.plan.acquisition import Builder, Request
from qsmbids.plan.age import OLDEST_YEARS, AgeReader
from qsmbids.plan.cosmos import with_cosmos
from qsmbids.plan.discover import (
    GRE_SUFFIXES,
    Scan,
    find_images,
    group_scans,
    list_participants,
    list_sessions,
)
from qsmbids.plan.field_strength import STRONGEST_FIELD_T
from qsmbids.plan.filenames import BidsName
from qsmbids.plan.filters import read_filters
from qsmbids.plan.findings import Findings
from qsmbids.plan.image_memory import ImageMemory
from qsmbids.plan.images import inspect_image
from qsmbids.plan.index import ImageIndex
from qsmbids.plan.models import Participant, Plan
from qsmbids.plan.orientation import unit_vector
from qsmbids.plan.sidecars import read_json_object

Progress = Callable[[float, str], None]


def make_plan(
    bids_dir: str | Path,
    *,
    participant_labels: Sequence[str] = (),
    session_labels: Sequence[str] = (),
    filters: Mapping[str, Mapping[str, Any]] | None = None,
    age: float | None = None,
    field_strength: float | None = None,
    b0_dir: Sequence[float] | None = None,
    phase_sign: str = 'auto',
    derivatives: Mapping[str, Path] | None = None,
    mask_derivatives: str | Path | None = None,
    cosmos: bool = False,
    memory: ImageMemory | None = None,
    progress: Progress | None = None,
    threads: int = 1,
) -> Plan:
    """Read a BIDS dataset and decide what will be done.

    Images are opened and streamed once, so that damaged files are known before the run;
    nothing is written but the ``memory``.

    Parameters
    ----------
    bids_dir : path-like
        The dataset.
    participant_labels, session_labels : sequence of str
        Whom and which sessions to process, with or without ``sub-``/``ses-``; empty for all.
    filters : mapping, optional
        Content of the filter file, see `qsmbids.plan.filters.read_filters`.
    age : float, years, optional
        Overrides the tables.
    field_strength : float, T, optional
        Used where the sidecars do not tell.
    b0_dir : (3,) float, optional
        Direction of the main field in voxel axes; overrides sidecars and headers.
    phase_sign : {'auto', '+', '-'}
        Whether paramagnetic sources have positive phase in the files.
    derivatives : mapping of str to Path, optional
        Folders of earlier results by name, searched for brain masks.
    mask_derivatives : str or Path, optional
        Take masks only from here: a name in ``derivatives`` or a folder.
    cosmos : bool
        Look for orientations of one head in each session.
    memory : ImageMemory, optional
        What earlier runs learned about the images, which are then not streamed again.
    progress : callable, optional
        Called with the finished fraction (0 to 1) and a line of text.
    threads : int
        Images of a person that are streamed at the same time; about 5 MB of memory for each.

    Returns
    -------
    Plan
        Bad data are issues in it, not exceptions.

    Raises
    ------
    ValueError
        For arguments that make no sense: unknown labels, folders that do not exist, unknown
        filter keys, impossible numbers.
    """
    root = Path(os.path.abspath(bids_dir))  # without '..', but links are kept
    if not root.is_dir():
        raise ValueError(f'{bids_dir} is not a folder.\nGive the folder of a BIDS dataset.')
    _check_numbers(age, field_strength, phase_sign)
    request = Request(
        root,
        read_filters(filters),
        field_strength,
        None if b0_dir is None else unit_vector(tuple(b0_dir)),
        phase_sign,
        _mask_folders(derivatives or {}, mask_derivatives),
        mask_derivatives is not None,
    )
    dataset = Findings(root)
    _check_description(root, dataset)
    labels = _choose_participants(root, participant_labels, dataset)
    sessions = [label.removeprefix('ses-') for label in session_labels]
    labels = _choose_sessions(root, labels, sessions, dataset)

    look = memory.inspect if memory else inspect_image
    index = ImageIndex(root, labels)
    participants = []
    with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
        builder = Builder(request, AgeReader(root, age), look, pool)
        for i, label in enumerate(labels):
            if progress:
                progress(i / len(labels), f'sub-{label}: reading')
            if memory:
                memory.recall(label)
            person = _plan_participant(builder, index, label, sessions)
            participants.append(with_cosmos(person) if cosmos else person)
            builder.forget(label)
            if memory:
                memory.keep(label)
    if progress:
        progress(1.0, f'{len(labels)} participants read')
    return Plan(str(root), tuple(participants), dataset.issues)


def _plan_participant(
    builder: Builder, index: ImageIndex, label: str, sessions: Sequence[str]
) -> Participant:
    root = builder.request.bids_dir
    findings = Findings(root, f'sub-{label}')
    images = find_images(index, label, sessions, findings)
    conditions = builder.request.filters['megre']
    scans = group_scans(images, conditions, findings)
    scans = _without_plain_magnitudes(scans, builder, findings)
    if not scans:
        _explain_nothing(label, images, bool(conditions), findings)
    acquisitions = tuple(builder.acquisition(scan, images) for scan in scans)
    return Participant(label, acquisitions, findings.issues)


def _without_plain_magnitudes(
    scans: Sequence[Scan], builder: Builder, findings: Findings
) -> tuple[Scan, ...]:
    """Leave out scans of a single magnitude image: they allow neither phase nor decay."""
    kept = []
    for scan in scans:
        echoes = {name.get('echo') for name in scan.files}
        plain = all(name.part in ('', 'mag') for name in scan.files) and len(echoes) == 1
        if plain and all(builder.inspect(n.path).n_volumes == 1 for n in scan.files):
            findings.note(
                'SINGLE_MAGNITUDE_LEFT_OUT',
                f'Left out: {findings.listing(n.path for n in scan.files)}. It is one echo of '
                'magnitude only.',
                'Susceptibility needs the phase, R2* needs several echoes.',
                'If there is phase, export it and name it part-phase.',
                scan.files[0].path,
            )
        else:
            kept.append(scan)
    return tuple(kept)


def _explain_nothing(
    label: str, images: Sequence[BidsName], filtered: bool, findings: Findings
) -> None:
    folder = f'sub-{label}'
    phase_t1w = any(name.part == 'phase' and name.suffix == 'T1w' for name in images)
    if filtered:
        fix = 'Loosen the filter file; it may exclude all scans.'
    elif phase_t1w:
        fix = (
            'There is a part-phase T1w: to use it, write {"megre": {"suffix": "T1w"}} into a '
            'filter file.'
        )
    else:
        names = ' or '.join(f'_{suffix}' for suffix in GRE_SUFFIXES[:2])
        fix = f'Name the images {folder}_echo-1_part-mag{names}, and so on, in {folder}/anat.'
    found = f'{len(images)} other images' if images else 'no image'
    findings.error(
        'NO_GRE',
        f'No gradient-echo scan with phase or several echoes was found, {found} in anat.',
        'Susceptibility is mapped from magnitude and phase of such a scan.',
        fix,
        findings.root / folder,
    )


def _check_numbers(age: float | None, field_strength: float | None, phase_sign: str) -> None:
    if age is not None and not (math.isfinite(age) and 0 <= age <= OLDEST_YEARS):
        raise ValueError(f'The age must be 0 to {OLDEST_YEARS:g} years, got {age}.')
    if field_strength is not None and not 0 < field_strength <= STRONGEST_FIELD_T:
        raise ValueError(
            f'The field strength must be in tesla, 0 to {STRONGEST_FIELD_T:g}, got '
            f'{field_strength}.'
        )
    if phase_sign not in ('auto', '+', '-'):
        raise ValueError(f'The phase sign must be auto, + or -, got {phase_sign!r}.')


def _mask_folders(derivatives: Mapping[str, Path], wanted: str | Path | None) -> dict[str, Path]:
    """Return the folders in which masks are searched."""
    folders = {name: Path(path).absolute() for name, path in derivatives.items()}
    if wanted is not None:
        name = str(wanted)
        folders = {name: folders[name]} if name in folders else {name: Path(wanted).absolute()}
    for name, path in folders.items():
        if not path.is_dir():
            raise ValueError(f'The folder of derivatives "{name}" does not exist: {path}')
    return folders


def _check_description(root: Path, findings: Findings) -> None:
    path = root / 'dataset_description.json'
    why = 'Other BIDS programs refuse the dataset; this one goes on.'
    fix = 'Write at least {"Name": "...", "BIDSVersion": "1.11.1"} into it.'
    if not path.exists():
        findings.warning(
            'DESCRIPTION_MISSING', 'There is no dataset_description.json.', why, fix, path
        )
        return
    values, problem = read_json_object(path)
    if values is None:
        what = f'dataset_description.json cannot be read: {problem}.'
        findings.warning('DESCRIPTION_BROKEN', what, why, fix, path)
    elif missing := [key for key in ('Name', 'BIDSVersion') if not values.get(key)]:
        what = f'dataset_description.json has no {" and no ".join(missing)}.'
        findings.warning('DESCRIPTION_INCOMPLETE', what, why, fix, path)


def _choose_participants(root: Path, wanted: Sequence[str], findings: Findings) -> tuple[str, ...]:
    known, refused = list_participants(root)
    for name in refused:
        findings.warning(
            'BAD_LABEL',
            f'The folder {name} is left out.',
            'Labels are made of letters and digits only.',
            'Rename it and its files.',
            root / name,
        )
    if not known:
        inside = root.name.startswith('sub-')
        findings.error(
            'NO_PARTICIPANTS',
            f'There is no sub-* folder in {root}.',
            'A BIDS dataset has one folder per participant.',
            'Give the folder above it.' if inside else 'Give the top folder of the dataset.',
            root,
        )
        if not wanted:
            return ()
    chosen = {label.removeprefix('sub-') for label in wanted}
    if unknown := sorted(chosen - set(known)):
        raise ValueError(
            f'No such participant: {", ".join(unknown)}.\n'
            f'{root} has: {", ".join(known) or "none"}.'
        )
    return tuple(label for label in known if not chosen or label in chosen)


def _choose_sessions(
    root: Path, labels: Sequence[str], wanted: Sequence[str], findings: Findings
) -> tuple[str, ...]:
    """Drop participants without any of the wanted sessions."""
    if not wanted or not labels:
        return tuple(labels)
    sessions = {label: list_sessions(root, label) for label in labels}
    known = sorted({session for found in sessions.values() for session in found})
    if unknown := sorted(set(wanted) - set(known)):
        raise ValueError(
            f'No such session: {", ".join(unknown)}.\n'
            f'The participants have: {", ".join(known) or "no sessions"}.'
        )
    for label in labels:
        if not set(wanted) & set(sessions[label]):
            findings.note(
                'SESSION_NOT_FOUND',
                f'sub-{label} is left out: it has no session {" or ".join(wanted)}.',
            )
    return tuple(label for label in labels if set(wanted) & set(sessions[label]))
