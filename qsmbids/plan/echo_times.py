"""Echo times: one per echo, in seconds, all different."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from qsmbids.plan.echoes import EchoFiles
from qsmbids.plan.findings import Findings
from qsmbids.plan.images import ImageInfo
from qsmbids.plan.metadata import is_number
from qsmbids.plan.models import Echo
from qsmbids.plan.sidecars import Sidecar

LONGEST_ECHO_TIME_S = 1.0  # beyond this the number was meant in milliseconds
SAME_ECHO_TIME_S = 1e-5  # two echoes are never 10 microseconds apart

_WHY = 'Phase and decay are only meaningful together with their echo time.'
_FIX = 'Set "EchoTime" in seconds in its JSON sidecar (5 ms is 0.005).'

BadTimes = dict[str, dict[Path, Any]]  # code of the problem -> file -> value


def make_echoes(
    pairs: Sequence[EchoFiles],
    images: Mapping[Path, ImageInfo],
    sidecars: Mapping[Path, Sidecar],
    findings: Findings,
    n_coils: int = 1,
) -> tuple[Echo, ...]:
    """Give every echo its time and sort by it.

    A single 4-D image whose ``EchoTime`` is a list becomes as many echoes as it has volumes.

    Parameters
    ----------
    pairs : sequence of EchoFiles
        Files by echo, in the order of their labels.
    images : mapping of Path to ImageInfo
        What the headers said.
    sidecars : mapping of Path to Sidecar
        Merged metadata per file.
    findings : Findings
        Receives ECHO_TIME_MISSING, ECHO_TIME_MS, ECHO_TIME_INVALID, FOUR_D_MISMATCH (errors),
        FOUR_D (warning) and the issues of `echo_time_of` and `check_distinct_times`.
    n_coils : int
        Volumes of an echo that are coils, see `qsmbids.plan.coils.count_coils`.

    Returns
    -------
    tuple of Echo
        By rising echo time; echoes whose time is unknown come last, with NaN.
    """
    echoes, names = [], []
    bad: BadTimes = defaultdict(dict)
    for pair in pairs:
        time = echo_time_of(pair, sidecars, bad, findings)
        infos = [images[path] for path in pair.paths]
        n_volumes = max((i.n_volumes for i in infos if not i.problem), default=1) // n_coils
        four_d = n_coils == 1 and any(len(i.shape) > 3 for i in infos)
        times = _volume_times(pair, time, n_volumes, len(pairs), bad, findings)
        for volume, value in enumerate(times):
            files = {part: str(name.path) for part, name in pair.parts.items()}
            echoes.append(
                Echo(
                    pair.label,
                    value,
                    magnitude=files.get('mag', ''),
                    phase=files.get('phase', ''),
                    real=files.get('real', ''),
                    imag=files.get('imag', ''),
                    volume=volume if four_d else None,
                )
            )
            names.append(pair.name if len(times) == 1 else f'volume {volume + 1}')
    _report(bad, findings)
    known = [i for i, echo in enumerate(echoes) if not math.isnan(echo.echo_time_s)]
    if known:
        check_distinct_times(
            [echoes[i].echo_time_s for i in known],
            [names[i] for i in known],
            pairs[0].paths[0],
            findings,
        )
    return tuple(sorted(echoes, key=lambda e: (math.isnan(e.echo_time_s), e.echo_time_s)))


def _volume_times(
    pair: EchoFiles,
    time: float | list | None,
    n_volumes: int,
    n_pairs: int,
    bad: BadTimes,
    findings: Findings,
) -> list[float]:
    """Return one echo time per volume; [NaN] when they cannot be told."""
    path = pair.paths[0]
    file = findings.relative(path)
    if not isinstance(time, list):
        if n_volumes == 1:
            return [math.nan if time is None else time]
        findings.error(
            'FOUR_D_MISMATCH',
            f'{file} holds {n_volumes} volumes, but one echo time.',
            'Volumes may be echoes, coils or repetitions, which are treated differently.',
            'Save one file per echo; or, if the volumes are echoes, give EchoTime as a list.',
            path,
        )
        return [math.nan]
    if n_volumes == 1:
        bad['ECHO_TIME_INVALID'][path] = time
        return [math.nan]
    if len(time) != n_volumes or n_pairs > 1:
        findings.error(
            'FOUR_D_MISMATCH',
            f'{file} holds {n_volumes} volumes, but EchoTime lists {len(time)} values.',
            'Every volume needs one echo time.',
            'Save one file per echo with one EchoTime each.',
            path,
        )
        return [math.nan]
    wrong = [value for value in time if _problem(value)]
    if wrong:
        bad[_problem(wrong[0])][path] = wrong[0]
        return [math.nan]
    findings.warning(
        'FOUR_D',
        f'{file} holds all echoes in one 4-D image.',
        'BIDS wants one file per echo; the list of echo times was matched to the volumes.',
        'Save one file per echo.',
        path,
    )
    return [float(value) for value in time]


def echo_time_of(
    echo: EchoFiles, sidecars: Mapping[Path, Sidecar], bad: BadTimes, findings: Findings
) -> float | list | None:
    """Return the echo time of one echo.

    Parameters
    ----------
    echo : EchoFiles
        Its files.
    sidecars : mapping of Path to Sidecar
        Merged metadata per file.
    bad : dict
        Receives the files whose time cannot be used, by the code of the problem, so that
        the same mistake in all files is told once.
    findings : Findings
        Receives ECHO_TIME_CONFLICT (error).

    Returns
    -------
    float, list or None
        Seconds; the raw list where one was given (4-D files); None when unknown.
    """
    times = {}
    for path in echo.paths:
        value = sidecars[path].values.get('EchoTime')
        if isinstance(value, list) and value:
            times[path] = value
        elif problem := _problem(value):
            # without a time a broken sidecar, which has been reported, may be to blame
            if not (value is None and sidecars[path].broken):
                bad[problem][path] = value
        else:
            times[path] = float(value)
    if len(times) < len(echo.paths):
        return None
    first = next(iter(times.values()))
    if any(not _same_time(first, other) for other in times.values()):
        findings.error(
            'ECHO_TIME_CONFLICT',
            f'{findings.listing(times)} have different echo times: '
            f'{", ".join(str(t) for t in times.values())} s.',
            'Both parts of one echo are measured at the same time.',
            'Correct the sidecars.',
            echo.paths[0],
        )
        return None
    return first


def _problem(value: Any) -> str:
    """Return the code of what is wrong with one echo time, '' for a good one."""
    if value is None:
        return 'ECHO_TIME_MISSING'
    if not is_number(value) or value <= 0:
        return 'ECHO_TIME_INVALID'
    return 'ECHO_TIME_MS' if value > LONGEST_ECHO_TIME_S else ''


def _report(bad: BadTimes, findings: Findings) -> None:
    for code, files in bad.items():
        path, value = next(iter(files.items()))
        why, fix = _WHY, _FIX
        if code == 'ECHO_TIME_MISSING':
            what = 'no EchoTime in the sidecar'
        elif code == 'ECHO_TIME_INVALID':
            what = f'EchoTime is {value!r}, which is not a positive number'
        else:
            what = f'EchoTime is {value:g}, which must be milliseconds'
            why = 'BIDS echo times are in seconds; a factor of 1000 would spoil every map.'
            fix = f'Write seconds into the JSON sidecars: {value / 1000:g} instead of {value:g}.'
        findings.error(code, f'{findings.listing(files)}: {what}.', why, fix, path)


def check_distinct_times(
    times: Sequence[float], names: Sequence[str], path: Path, findings: Findings
) -> None:
    """Note ECHO_TIME_EQUAL (error) and ECHO_ORDER (warning).

    Parameters
    ----------
    times : sequence of float, s
        In the order of the labels.
    names : sequence of str
        What to call the echoes.
    path : Path
        A file to name.
    findings : Findings
        Receives the issues.
    """
    order = sorted(range(len(times)), key=lambda i: times[i])
    for one, two in pairwise(order):
        if times[two] - times[one] < SAME_ECHO_TIME_S:
            findings.error(
                'ECHO_TIME_EQUAL',
                f'{names[one]} and {names[two]} have the same echo time, {times[one]:g} s.',
                'Some converters write the first echo time for all echoes.',
                'Set the true EchoTime of each echo in its JSON sidecar.',
                path,
            )
            return
    if order != list(range(len(times))):
        findings.warning(
            'ECHO_ORDER',
            'The echo times do not rise with the echo numbers.',
            'Echoes are used in the order of their echo times, but sidecars may be mixed up.',
            'Compare names and sidecars.',
            path,
        )


def _same_time(one: Any, two: Any) -> bool:
    if isinstance(one, list) or isinstance(two, list):
        return one == two
    return abs(one - two) < SAME_ECHO_TIME_S
