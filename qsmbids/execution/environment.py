"""The surroundings of a run, set before anything heavy is imported.

Nothing may be written to HOME, no version check may go to the network, and libraries must
not start more threads than were asked for. All of these are read by the libraries when they
are imported, so this module imports none of them.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from qsmbids.execution.compiled_cache import prepare_loops

TEMPORARY = 'qsmbids_tmp'  # below the work folder, and emptied: no name that others use


def prepare_environment(work_dir: Path, seed: int) -> None:
    """Set the environment variables that the libraries read.

    Parameters
    ----------
    work_dir : Path
        Caches and temporary files go below it.
    seed : int
        Seed of ANTs. Registration is repeatable only with one ITK thread, so that is set
        as well; two registrations side by side are faster than one with two threads.
    """
    cache = work_dir / 'cache'
    temporary = work_dir / TEMPORARY
    for folder in (cache, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ['TMPDIR'] = str(temporary)
    tempfile.tempdir = None  # forget an earlier answer
    os.environ['MPLCONFIGDIR'] = str(cache / 'matplotlib')
    os.environ['MPLBACKEND'] = 'Agg'
    os.environ['NIPYPE_CONFIG_DIR'] = str(cache / 'nipype')
    os.environ['NIPYPE_NO_ET'] = '1'
    os.environ['NO_ET'] = '1'
    prepare_loops(cache)
    for name in ('OMP', 'OPENBLAS', 'MKL', 'NUMBA'):
        os.environ[f'{name}_NUM_THREADS'] = '1'  # transforms get theirs explicitly
    os.environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] = '1'
    os.environ['ANTS_RANDOM_SEED'] = str(seed)
