"""Making a work folder smaller: the steps of what is finished are of no more use.

::

    <work>/qsmbids_0_1_wf/<workflow>/<step>/   released when the outputs are in their place
    <work>/crash, log, cache, atlases          stay
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from qsmbids.execution.environment import TEMPORARY

_RUN_FOLDERS = 'qsmbids_*_wf'  # one for each version that worked here
STEPS = (_RUN_FOLDERS, 'atlas_build', 'build_atlas')  # the others are of atlases that are built
_RELEASED = '.released-'


def release(work_dir: Path, workflow_name: str) -> None:
    """Remove the steps of a finished workflow.

    The folder is renamed before it is emptied: one that is emptied half-way can then never be
    taken for steps that are finished. What an earlier call could not remove goes too.

    Parameters
    ----------
    work_dir : Path
    workflow_name : str
        Name of its folder, letters, digits, ``_`` and ``-`` only.

    Raises
    ------
    ValueError
        If the name could lead out of the work folder.
    """
    if not re.fullmatch(r'[A-Za-z0-9_-]+', workflow_name):
        raise ValueError(
            f'{workflow_name!r} is no name of a workflow.\n'
            'Only folders of finished steps may be removed from the work folder.\n'
            'Please report this as a fault of the program.'
        )
    for run_folder in work_dir.glob(_RUN_FOLDERS):
        if run_folder.is_symlink():
            continue
        steps = run_folder / workflow_name
        # a link, although Nipype makes none, is not followed: what it leads to is not ours
        if steps.is_dir() and not steps.is_symlink():
            _remove(steps, run_folder / f'{_RELEASED}{workflow_name}-{os.getpid()}')
        for left in run_folder.glob(f'{_RELEASED}*'):
            shutil.rmtree(left, ignore_errors=True)


def _remove(folder: Path, aside: Path) -> None:
    shutil.rmtree(aside, ignore_errors=True)
    try:
        folder.rename(aside)
    except OSError:  # files of it are still open on some network file systems
        shutil.rmtree(folder, ignore_errors=True)
    else:
        shutil.rmtree(aside, ignore_errors=True)


def empty_temporary(work_dir: Path) -> None:
    """Remove the temporary files of runs that were killed; only the owner of the lock may."""
    for path in (work_dir / TEMPORARY).glob('*'):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def empty(work_dir: Path) -> None:
    """Remove all steps, and nothing that this program did not make."""
    for pattern in STEPS:
        for folder in work_dir.glob(pattern):
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
