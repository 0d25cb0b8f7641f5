"""How long a run will still take: from what its finished steps took, as a range.

Steps of one kind (the same step of different acquisitions) take about as long as one another,
in proportion to what was expected of them. So the typical ratio of observed to expected time of
each kind is applied to what is left of it, and the sum is divided by the number of steps that
ran side by side so far. What a later batch holds is known only as expected seconds.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

_REMEMBERED = 101  # steps of one kind: enough to know, few enough to follow a change
_LEAST_SEEN = 3  # finished steps before anything is said
_KNOWN = 0.8  # part of what is left whose kind was seen, where no forecast says how long it is
_SETTLE_S = 10.0  # until then the number side by side is what was seen at most


@dataclass(frozen=True)
class Left:
    """A step that has not ended.

    Parameters
    ----------
    kind : str
        Name that the step shares with that of other acquisitions.
    owner : str
        Acquisition; its steps are taken to run one after the other.
    expected : float
        Seconds it was expected to take, in any unit that all steps share.
    elapsed : float
        Seconds it has been running, 0 before its start.
    """

    kind: str
    owner: str
    expected: float = 1.0
    elapsed: float = 0.0


class TimeLeft:
    """Learn from finished steps, and say what is left.

    Parameters
    ----------
    workers : int, optional
        Most steps that run side by side; 0 when unknown, as on a cluster.

    Attributes
    ----------
    forecast : bool
        Whether the expected seconds tell long kinds of steps from short ones.
    """

    def __init__(self, workers: int = 0):
        self.forecast = False
        self._workers = workers
        self._took: dict[str, deque] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._seen = 0
        self._running = 0
        self._most = 1
        self._work_s = 0.0  # integral of the number running
        self._since: float | None = None
        self._before: float | None = None
        self._end: float | None = None
        self._asked: float | None = None

    def running(self, number: int, now: float) -> None:
        """Take note of how many steps run from now on."""
        if self._since is None:
            self._since = now
        else:
            self._work_s += self._running * (now - self._before)
        self._before, self._running = now, number
        self._most = max(self._most, number)

    def ended(self, kind: str, expected: float, seconds: float) -> None:
        """Take note of a step that ran to its end."""
        self._took[kind].append((max(expected, 1e-9), max(seconds, 0.0)))
        self._seen += 1

    def range(
        self, left: Iterable[Left], now: float, later: float = 0.0
    ) -> tuple[float, float] | None:
        """Return the least and most seconds that the rest may take, or None if unknown.

        Parameters
        ----------
        left : iterable of Left
            All steps that are known and have not ended.
        now : float
            Monotonic time.
        later : float
            Expected seconds of the steps that are not known yet.
        """
        left = list(left)
        if self._seen < _LEAST_SEEN or not self._knows(left):
            return None
        overall = self._overall()
        chains: dict[str, float] = defaultdict(float)
        for step in left:
            chains[step.owner] += self._rest(step, overall)
        total = sum(chains.values()) + later * overall
        if not total:
            return None
        # no schedule is quicker than the first, and none without idle workers slower than the
        # second (Graham's bound): at the end the last acquisition runs alone
        side_by_side = self._side_by_side(now)
        longest = max(chains.values(), default=0.0)
        least = max(total / side_by_side, longest)
        most = total / side_by_side + longest * (1 - 1 / side_by_side)
        rest = self._smooth(math.sqrt(least * most), now)
        spread = 1.25 + 0.7 / math.sqrt(1 + self._seen / 8)
        spread *= math.sqrt(most / least)
        return rest / spread, rest * spread

    def _knows(self, left: list[Left]) -> bool:
        """Whether kinds were forecast one by one, or nearly all that are left were seen."""
        seen = sum(step.kind in self._took for step in left)
        return self.forecast or seen >= _KNOWN * len(left)

    def _rest(self, step: Left, overall: float) -> float:
        took = self._took.get(step.kind)
        ratio = typical(t / e for e, t in took) if took else overall
        # one that takes longer than thought will take longer still, nobody knows how much
        return max(step.expected * ratio - step.elapsed, 0.2 * step.elapsed)

    def _overall(self) -> float:
        kinds = self._took.values()
        took = sum(typical(t for _, t in kind) for kind in kinds)
        return took / sum(typical(e for e, _ in kind) for kind in kinds)

    def _side_by_side(self, now: float) -> float:
        work_s = self._work_s + self._running * (now - self._before)
        mean = (self._most * _SETTLE_S + work_s) / (_SETTLE_S + now - self._since)
        return max(1.0, min(mean, self._workers or mean))

    def _smooth(self, rest: float, now: float) -> float:
        """Follow the newest estimate of the end slowly, so that what is shown does not jump."""
        if self._end is None:
            self._end = now + rest
        else:
            pace = max(5.0, 0.03 * (now - self._since))
            follow = 1 - math.exp(-(now - self._asked) / pace)
            self._end += follow * (now + rest - self._end)
        self._asked = now
        return max(self._end - now, 0.3 * rest)


def typical(values: Iterable[float]) -> float:
    """Return the mean of the middle half: an outlier does not count, and little is wasted.

    Examples
    --------
    >>> typical([1, 2, 4, 90]), typical([7, 9])
    (3.0, 8.0)
    """
    ordered = sorted(values)
    cut = len(ordered) // 4
    middle = ordered[cut : len(ordered) - cut]
    return sum(middle) / len(middle)


def clock(seconds: float) -> str:
    """Return a duration in words.

    Examples
    --------
    >>> clock(0.27), clock(41), clock(95), clock(7300)
    ('0.3 s', '41 s', '1.6 min', '2.0 h')
    """
    if seconds < 59.5:
        return f'{seconds:.0f} s' if seconds >= 9.95 else f'{max(seconds, 0):.1f} s'
    return f'{seconds / 60:.1f} min' if seconds < 3570 else f'{seconds / 3600:.1f} h'


def span(low: float, high: float) -> str:
    """Return a range of durations in words, rounded to what can be known.

    Examples
    --------
    >>> span(31, 74), span(130, 500), span(3000, 9000), span(1, 3)
    ('35 to 75 s', '3 to 9 min', '50 min to 3 h', '5 s')
    """
    first, unit = _rounded(low)
    last, last_unit = _rounded(high)
    if unit == last_unit:
        return f'{last} {unit}' if first == last else f'{first} to {last} {unit}'
    return f'{first} {unit} to {last} {last_unit}'


def _rounded(seconds: float) -> tuple[int, str]:
    if seconds <= 90:
        return max(5, 5 * math.ceil(seconds / 5)), 's'
    if seconds <= 90 * 60:
        minutes = math.ceil(seconds / 60)
        return (minutes if minutes <= 20 else 5 * math.ceil(minutes / 5)), 'min'
    hours = math.ceil(seconds / 3600)
    return hours, 'h'
