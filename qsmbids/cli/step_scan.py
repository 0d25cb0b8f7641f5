"""The images of one call of ``qsmbids-step``: readable, on one grid, with sidecars and times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from qsmbids.cli.step_messages import StepError, note, unusable
from qsmbids.plan.echo_times import SAME_ECHO_TIME_S
from qsmbids.plan.filenames import BidsName
from qsmbids.plan.findings import Findings
from qsmbids.plan.image_checks import check_readable, check_same_grid
from qsmbids.plan.images import ImageInfo, inspect_image
from qsmbids.plan.metadata import is_number
from qsmbids.plan.models import Issue, Severity
from qsmbids.plan.sidecars import Sidecar, SidecarReader, read_json_object

ECHO_INPUTS = ('phase', 'unwrapped', 'magnitude')


@dataclass(frozen=True)
class Given:
    """What the command line said about the scan; None where it said nothing."""

    echo_times_s: tuple[float, ...] | None = None
    field_strength_t: float | None = None
    imaging_frequency_mhz: float | None = None
    b0_direction: tuple[float, ...] | None = None
    field_unit: str | None = None
    phase_sign: str = 'auto'
    sidecars: tuple[Path, ...] = ()


class Scan:
    """The input images of one call, looked at once, with their metadata.

    Parameters
    ----------
    files : mapping of str to sequence of Path
        Input files by the name of their option.
    given : Given
        What the command line says.

    Raises
    ------
    StepError
        If an image or sidecar cannot be used, or the images lie on different grids.
    """

    def __init__(self, files: Mapping[str, Sequence[Path]], given: Given) -> None:
        self.files = {option: list(paths) for option, paths in files.items()}
        self.given = given
        everything = dict.fromkeys(path for paths in files.values() for path in paths)
        self.images = {path: inspect_image(path) for path in everything}
        findings = new_findings()
        check_readable(self.images.values(), findings)
        check_same_grid(
            [replace(image, shape=image.grid_shape) for image in self.images.values()], findings
        )
        self.sidecars = self._read_sidecars(findings)
        tell(findings.issues)
        self._sort_by_echo_time()

    @property
    def first(self) -> ImageInfo:
        """The image whose header the results get."""
        return next(iter(self.images.values()))

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """Voxels along the three axes."""
        return self.first.grid_shape

    def n_echoes(self, option: str) -> int:
        """Return the number of echoes of an input: files, or volumes of a single file."""
        paths = self.files[option]
        return len(paths) if len(paths) > 1 else self.images[paths[0]].n_volumes

    # ------------------------------------------------------------------------- sidecars
    def _read_sidecars(self, findings: Findings) -> dict[Path, Sidecar]:
        """Return the metadata of each image: from ``--sidecar``, or from beside it."""
        if self.given.sidecars:
            read = [_read_one(path) for path in self.given.sidecars]
            return {
                path: read[min(i, len(read) - 1)]
                for paths in self.files.values()
                for i, path in enumerate(paths)
            }
        readers: dict[Path, SidecarReader] = {}
        found = {}
        for path in self.images:
            name = BidsName.parse(path.absolute())
            root = _dataset_of(name.path)
            found[path] = readers.setdefault(root, SidecarReader(root)).read(name, findings)
        return found

    def of(self, option: str) -> dict[Path, Sidecar]:
        """Return the metadata of the files of one option."""
        return {path: self.sidecars[path] for path in self.files.get(option, ())}

    # ----------------------------------------------------------------------- echo times
    def _sort_by_echo_time(self) -> None:
        """Bring files into the order of their echo times, if the sidecars tell all of them."""
        if self.given.echo_times_s or self.given.sidecars:
            return
        options = [o for o in ECHO_INPUTS if len(self.files.get(o, ())) > 1]
        times = {o: [s.values.get('EchoTime') for s in self.of(o).values()] for o in options}
        if all(is_number(t) for found in times.values() for t in found):
            for option, found in times.items():
                order = np.argsort(found, kind='stable')
                self.files[option] = [self.files[option][i] for i in order]

    @cached_property
    def echo_times_s(self) -> list[float] | None:
        """Echo times in seconds, in the order of the files; None if nothing tells them."""
        if self.given.echo_times_s:
            return list(self.given.echo_times_s)
        if self.given.sidecars:
            return _flat(s.values.get('EchoTime') for s in map(_read_one, self.given.sidecars))
        known = {}
        for option in ECHO_INPUTS:
            times = _flat(s.values.get('EchoTime') for s in self.of(option).values())
            if times is not None:
                known[option] = times
        if not known:
            return None
        option, times = next(iter(known.items()))
        for other, found in known.items():
            if len(found) == len(times) and not np.allclose(found, times, 0, SAME_ECHO_TIME_S):
                raise unusable(
                    f'The sidecars of --{option} and --{other} have different echo times: '
                    f'{_seconds(times)} and {_seconds(found)} s.',
                    'Magnitude and phase of an echo are measured at the same time.',
                    'Give the files of both in the same order, or give --echo-times.',
                )
        return times

    def need_echo_times(self, n_echoes: int) -> list[float]:
        """Return the echo times; an error if they are not known or not as many."""
        times = self.echo_times_s
        if times is None:
            raise unusable(
                'The echo times are not known.',
                'Phase and decay are only meaningful together with their echo time.',
                'Give --echo-times in seconds, or --sidecar FILE with EchoTime.',
            )
        if len(times) != n_echoes:
            raise unusable(
                f'There are {n_echoes} echoes but {len(times)} echo times ({_seconds(times)} s).',
                'Every echo needs its own echo time.',
                'Give one --echo-times value per echo, and every echo once.',
            )
        return times


def new_findings() -> Findings:
    """Return a notebook for checks in which files keep the names that were typed."""
    return Findings(Path('/nowhere'))


def tell(issues: Iterable[Issue]) -> None:
    """Print warnings and notes; raise the first error."""
    for issue in issues:
        if issue.severity is Severity.ERROR:
            raise unusable(issue.what, issue.why, issue.fix)
        note(f'{issue.severity.capitalize()}: {issue}')


def _read_one(path: Path) -> Sidecar:
    values, problem = read_json_object(path)
    if values is None:
        raise StepError(
            f'--sidecar {path} cannot be used: {problem}.',
            'Echo times and field strength are read from it.',
            'Name a JSON file, or leave it out and give --echo-times and --field-strength.',
        )
    return Sidecar(values, dict.fromkeys(values, path))


def _dataset_of(path: Path) -> Path:
    """Return the BIDS dataset that a file lies in, or else its folder."""
    for folder in path.parents:
        if (folder / 'dataset_description.json').is_file():
            return folder
    return path.parent


def _flat(values: Iterable) -> list[float] | None:
    """Return numbers and lists of numbers as one list; None if any is missing."""
    flat: list[float] = []
    for value in values:
        items = value if isinstance(value, list) else [value]
        if not all(is_number(item) for item in items):
            return None
        flat += [float(item) for item in items]
    return flat or None


def _seconds(times: Sequence[float]) -> str:
    return ', '.join(f'{time:g}' for time in times)
