"""One head scanned in several orientations, as for COSMOS, and where B0 really pointed.

Two ways of turning a head are told apart, because they look different to a program: the slab
may be turned with the head (then the headers show it), or the head may be turned in a slab
that stays as it was (then only the pictures show it). Real scans mix both.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from qsmbids.phantom.dataset import write_furniture, write_raw
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.phantom.simulate import simulate_head
from qsmbids.phantom.truth_dataset import TRUTH_FOLDER, write_truth, write_truth_furniture


def orientation_scans(parameters: PhantomParameters) -> tuple[PhantomParameters, ...]:
    """Return a protocol of three orientations: straight, nodding and tilted to a shoulder.

    The second scan has the slab of the first and the head turned in it; in the third, slab
    and head are turned together, the head a little more.

    Parameters
    ----------
    parameters : PhantomParameters
        The first scan.
    """
    return (
        parameters,
        replace(parameters, head_rotation_deg=(-22.0, 3.0, -4.0), scan=1),
        replace(
            parameters,
            oblique_deg=20.0,
            oblique_axis=(0.0, 1.0, 0.0),
            head_rotation_deg=(2.0, 6.0, 5.0),
            scan=2,
        ),
    )


def write_orientations(
    root: str | os.PathLike[str], age: float, scans: Sequence[PhantomParameters]
) -> Path:
    """Write ``sub-01`` scanned several times, as ``run-1``, ``run-2`` ..., as a BIDS data set.

    Parameters
    ----------
    root : path
        Folder to make; it must not exist. It appears when all scans are done.
    age : float, years
    scans : sequence of PhantomParameters
        With the same seed: the same head. The truth that is written is that of the first.

    Returns
    -------
    Path
        `root`.

    Raises
    ------
    ValueError
        If the folder exists or the scans are not of one subject.
    """
    root = Path(root)
    if root.exists() or len({(scan.seed, scan.warp_mm) for scan in scans}) != 1:
        raise ValueError(
            f'{root} exists, or the scans have different seeds.\n'
            'One head is scanned several times into a new folder.\n'
            'Name a new folder and give scans of one seed.'
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f'.{root.name}-', dir=root.parent))
    try:
        for number, scan in enumerate(scans, start=1):
            head = simulate_head(age, parameters=scan)
            write_raw(work, '01', head, f'run-{number}')
            if number == 1:
                write_truth(work / 'derivatives' / TRUTH_FOLDER, '01', head)
        write_furniture(work, ['01'], [age], scans[0])
        write_truth_furniture(work / 'derivatives' / TRUTH_FOLDER)
        work.chmod(0o755)  # mkdtemp makes private folders
        work.rename(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)  # nothing to remove after the rename
    return root


def true_direction(scan: PhantomParameters, reference: PhantomParameters) -> np.ndarray:
    """Return B0 of a scan in the voxel axes of a reference scan of the same head, (3,) float.

    B0 is followed from the scanner into the slab of the scan and into the head, and from there
    into the slab of the reference.

    Examples
    --------
    >>> straight = PhantomParameters(oblique_deg=0, orientation='RAS')
    >>> nodding = replace(straight, head_rotation_deg=(30, 0, 0))
    >>> true_direction(nodding, straight).round(3).tolist()
    [0.0, 0.5, 0.866]
    """
    in_head = scan.head_to_slab.T @ scan.slab_to_scanner.T @ np.array([0.0, 0.0, 1.0])
    in_slab = reference.head_to_slab @ in_head
    handedness = [-1 if reference.orientation == 'LAS' else 1, 1, 1]  # x against the first axis
    return in_slab * handedness + 0.0
