"""Simulated people with a truth that is known, in the shape the cohort has."""

import numpy as np
import pandas as pd
import pytest

from qsmbids.group.region_table import RegionTable

UNITS = {'mean': 'ppm', 'total': 'ppm*mm^3', 'volume_mm3': 'mm^3'}


def make_people(n=120, seed=0, sessions=1):
    """People of 20 to 80 years, a third of them patients."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 80, n)
    diagnosis = np.where(np.arange(n) % 3 == 0, 'PD', 'control')
    sex = np.array(['F', 'M'])[rng.integers(0, 2, n)]
    people = np.repeat(np.arange(n), sessions)
    session = np.tile(np.arange(sessions), n)
    return pd.DataFrame(
        {
            'key': [f'sub-{p:04d}_ses-{s + 1}' for p, s in zip(people, session, strict=True)],
            'participant_id': [f'sub-{p:04d}' for p in people],
            'session_id': [f'ses-{s + 1}' for s in session],
            'age': age[people] + 2.0 * session,
            'sex': sex[people],
            'diagnosis': diagnosis[people],
            'site': np.array(['A', 'B'])[rng.integers(0, 2, n)][people],
            'reference': 'whole-brain',
            'reference_value': 0.01 + 0.002 * rng.standard_normal(n)[people],
            'primary': True,
            'first_session': session == 0,
        }
    )


def make_table(**values):
    """Wrap arrays of scans by regions; ``mean`` must be among them."""
    n_regions = next(iter(values.values())).shape[1]
    names = [f'Region{i}' for i in range(n_regions)]
    regions = pd.DataFrame(
        {
            'index': range(1, n_regions + 1),
            'name': names,
            'abbreviation': names,
            'hemisphere': 'B',
            'group': 'deep grey',
            'region': names,
        }
    )
    return RegionTable(
        'QSMLifespan',
        'Chimap',
        regions,
        {name: np.asarray(array, np.float32) for name, array in values.items()},
        {name: {'Units': UNITS.get(name, '')} for name in values},
    )


@pytest.fixture
def people():
    return make_people


@pytest.fixture
def table():
    return make_table
