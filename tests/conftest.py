"""A small simulated dataset that many tests share; each test copies what it changes."""

import shutil
from pathlib import Path

import pytest

from qsmbids.phantom.dataset import write_dataset
from qsmbids.phantom.parameters import PhantomParameters


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
