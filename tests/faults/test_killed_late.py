"""SIGKILL of everything at ten random moments of the second half of a run.

The figures and the writing of results fall into it. The last moments may come too late: runs
do not always take the same time.
"""

import random

import pytest

MOMENTS = random.Random(7)


@pytest.mark.parametrize('part', sorted(MOMENTS.uniform(0.5, 0.98) for _ in range(10)))
def test_killed(killed_and_restarted, part):
    hit = killed_and_restarted(part)
    assert hit or part > 0.7
