"""SIGKILL of everything at ten random moments of the first half of a run.

After one restart the end state is that of a run that nobody disturbed.
"""

import random

import pytest

MOMENTS = random.Random(6)


@pytest.mark.parametrize('part', [MOMENTS.uniform(0.02, 0.5) for _ in range(10)])
def test_killed(killed_and_restarted, part):
    assert killed_and_restarted(part)
