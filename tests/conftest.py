"""A small simulated dataset that many tests share; each test copies what it changes."""

import os
import shutil
from pathlib import Path

import pytest

from qsmbids.phantom.dataset import write_dataset
from qsmbids.phantom.parameters import PhantomParameters

# ITK reads this once in a process, whichever test comes first; equal seeds give equal results
# with one thread only, and `qsmbids` sets it as well
os.environ.setdefault('ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS', '1')


@pytest.fixture(scope='session')
def coarse_dataset(tmp_path_factory) -> Path:
    """Two people at 4 mm with four echoes: too coarse for accuracy, quick to process."""
    root = tmp_path_factory.mktemp('coarse') / 'bids'
    parameters = PhantomParameters(
        voxel_size_mm=4.0, echo_times_s=(0.004, 0.010, 0.016, 0.022), snr=100.0
    )
    return write_dataset(root, (12.0, 60.0), parameters=parameters)


@pytest.fixture
def dataset(coarse_dataset, tmp_path) -> Path:
    """A copy of the small dataset that a test may change."""
    shutil.copytree(coarse_dataset, tmp_path / 'bids')
    return tmp_path / 'bids'
