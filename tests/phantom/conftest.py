"""Small simulated heads, made once for all tests of the room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmbids.phantom import PhantomParameters, simulate_head

COARSE = PhantomParameters(voxel_size_mm=4.0)


@pytest.fixture(scope='session')
def coarse() -> PhantomParameters:
    return COARSE


@pytest.fixture(scope='session')
def adult():
    return simulate_head(40, parameters=COARSE)


@pytest.fixture(scope='session')
def child():
    return simulate_head(6, parameters=COARSE)


@pytest.fixture(scope='session')
def quiet_adult():
    """The adult without noise."""
    return simulate_head(40, parameters=replace(COARSE, snr=np.inf))
