"""The time that is left: a range that holds the truth, does not jump and is never absurd."""

import math
import random
from itertools import pairwise

import pytest

from qsmbids.execution.estimate import Left, TimeLeft, clock, span

KINDS = {'load': 3.0, 'field': 8.0, 'invert': 30.0, 'register': 60.0}


def simulate(acquisitions, workers, told=None, slower=1.0, seed=0):
    """Run steps of random length on workers; yield (fraction done, range, true rest)."""
    noise = random.Random(seed)
    todo = [(f'sub-{n}', kind) for n in range(acquisitions) for kind in KINDS]
    true = {step: slower * KINDS[step[1]] * noise.uniform(0.7, 1.4) for step in todo}
    expected = {step: (told or {}).get(step[1], 1.0) for step in todo}
    estimate, now, running, waiting, seen = TimeLeft(workers), 0.0, {}, list(todo), []
    estimate.forecast = told is not None
    while waiting or running:
        while waiting and len(running) < workers:
            step = next((s for s in waiting if s[0] not in {r[0] for r in running}), None)
            if step is None:
                break
            waiting.remove(step)
            running[step] = now
            estimate.running(len(running), now)
        step = min(running, key=lambda s: running[s] + true[s])
        now = running.pop(step) + true[step]
        estimate.running(len(running), now)
        estimate.ended(step[1], expected[step], true[step])
        left = [Left(kind, key, expected[key, kind]) for key, kind in waiting]
        left += [Left(s[1], s[0], expected[s], now - t) for s, t in running.items()]
        seen.append((now, estimate.range(left, now)))
    return [(t / now, found, now - t) for t, found in seen]


@pytest.mark.parametrize('workers', [1, 4, 8])
@pytest.mark.parametrize('told', [None, KINDS])
@pytest.mark.parametrize('seed', [1, 2, 3])
def test_range_holds_the_truth_most_of_the_time(workers, told, seed):
    """Also when the machine is three times slower than the forecast supposed."""
    rows = [row for row in simulate(24, workers, told, slower=3, seed=seed) if row[1]]
    inside = [low <= rest <= high for _, (low, high), rest in rows[:-workers]]
    assert len(inside) > 60
    assert sum(inside) > 0.85 * len(inside)


def test_what_is_shown_does_not_jump():
    """The middle of the range, plus the time that passed, stays near the true end."""
    rows = [row for row in simulate(24, 2, seed=4) if row[1]]
    middle = [math.sqrt(low * high) for _, (low, high), _ in rows]
    jumps = [max(a, b) / min(a, b) for a, b in pairwise(middle)]
    half = len(jumps) // 2
    assert max(jumps[:half]) < 1.5


def test_nothing_is_said_before_it_means_something():
    estimate = TimeLeft(2)
    left = [Left('invert', 'a'), Left('register', 'a')]
    estimate.running(1, 0.0)
    assert estimate.range(left, 0.0) is None
    for n in range(5):
        estimate.ended('load', 1.0, 2.0)
        assert estimate.range(left, float(n)) is None  # nothing is known of the kinds to come
    for kind in ('invert', 'register'):
        estimate.ended(kind, 1.0, 2.0)
    assert estimate.range(left, 6.0) is not None
    assert estimate.range([], 6.0) is None


def test_with_a_forecast_the_first_steps_are_enough():
    """So that a run of one participant has an estimate too, where no kind comes twice."""
    estimate = TimeLeft(1)
    estimate.forecast = True
    estimate.running(1, 0.0)
    for kind, expected in (('load', 3.0), ('mask', 5.0), ('field', 8.0)):
        estimate.ended(kind, expected, 2 * expected)
    low, high = estimate.range([Left('invert', 'a', 30.0)], 32.0)
    assert low < 60 < high


def test_ranges_are_finite_and_positive_whatever_is_observed():
    estimate = TimeLeft()
    estimate.running(1, 5.0)
    for seconds in (0.0, -1.0, 1e6):
        estimate.ended('a', 0.0, seconds)
    for left in ([Left('a', 'x', 0.0, 1e9)], [Left('b', 'x', 1.0)], [Left('a', 'x', 1.0)]):
        found = estimate.range(left, 5.0, later=3.0)
        assert found is None or 0 < found[0] <= found[1] < math.inf


def test_a_step_that_takes_too_long_is_expected_to_take_longer_still():
    estimate = TimeLeft(1)
    estimate.running(1, 0.0)
    for _ in range(3):
        estimate.ended('a', 1.0, 10.0)
    low, high = estimate.range([Left('a', 'x', 1.0, elapsed=1000.0)], 1030.0)
    assert low > 50
    assert high > 200


def test_graphs_to_come_count():
    def rest(later):
        estimate = TimeLeft(1)
        estimate.running(1, 0.0)
        for _ in range(4):
            estimate.ended('a', 2.0, 10.0)  # five times as long as expected
        return estimate.range([Left('a', 'x', 2.0)], 40.0, later)

    assert rest(20.0)[0] == pytest.approx(11 * rest(0.0)[0])


@pytest.mark.parametrize(
    ('low', 'high', 'text'),
    [
        (0.01, 0.2, '5 s'),
        (31, 74, '35 to 75 s'),
        (85, 200, '85 s to 4 min'),
        (1300, 4000, '25 to 70 min'),
        (5000, 9e4, '85 min to 25 h'),
    ],
)
def test_ranges_in_words(low, high, text):
    assert span(low, high) == text


def test_durations_never_show_sixty_seconds_or_a_minus():
    assert clock(59.7) == '1.0 min'
    assert clock(3580) == '1.0 h'
    assert clock(-1) == '0.0 s'
