"""Builds one acquisition: every rule and every check of a scan, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

from qsmbids.plan import checks, image_checks
from qsmbids.plan.age import AgeReader
from qsmbids.plan.coils import count_coils
from qsmbids.plan.companions import find_brain_mask, find_t1w, find_t2_map
from qsmbids.plan.discover import Scan
from qsmbids.plan.echo_times import make_echoes
from qsmbids.plan.echoes import EchoFiles, Form, pair_echoes
from qsmbids.plan.field_strength import imaging_frequency
from qsmbids.plan.filenames import BidsName
from qsmbids.plan.filters import Filter
from qsmbids.plan.findings import Findings
from qsmbids.plan.images import ImageInfo, inspect_image
from qsmbids.plan.metadata import common_values
from qsmbids.plan.models import Acquisition, Decision, PhaseScaling, Severity, Source
from qsmbids.plan.orientation import b0_direction, header_direction, voxel_size
from qsmbids.plan.phase_scaling import decide_complex_scaling, decide_phase_scaling
from qsmbids.plan.region_masks import find_region_masks
from qsmbids.plan.sidecars import Sidecar, SidecarReader

UNKNOWN = Decision(None, Source.DEFAULT, 'not known')
_NO_AFFINE = ((0.0,) * 4,) * 4


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line, checked."""

    bids_dir: Path
    filters: Mapping[str, Filter]
    field_strength: float | None = None
    b0_dir: tuple[float, float, float] | None = None
    phase_sign: str = 'auto'
    mask_folders: Mapping[str, Path] = field(default_factory=dict)
    mask_asked_for: bool = False


class Builder:
    """Turns scans into acquisitions; remembers what was read already.

    Parameters
    ----------
    request : Request
        The wishes of the command line.
    ages : AgeReader
        The tables.
    look : callable
        Looks at an image file.
    pool : Executor, optional
        Threads that look at several files at once; unpacking leaves the interpreter free.
    """

    def __init__(
        self,
        request: Request,
        ages: AgeReader,
        look: Callable[[Path], ImageInfo] = inspect_image,
        pool: Executor | None = None,
    ) -> None:
        self.request = request
        self.ages = ages
        self.sidecars = SidecarReader(request.bids_dir)
        self._look = look
        self._pool = pool
        self._images: dict[Path, ImageInfo] = {}

    def inspect(self, path: Path) -> ImageInfo:
        """Look at an image file, once."""
        if path not in self._images:
            self._images[path] = self._look(path)
        return self._images[path]

    def inspect_all(self, paths: Iterable[Path]) -> dict[Path, ImageInfo]:
        """Look at image files, several at once where there are threads."""
        paths = list(dict.fromkeys(paths))
        new = [path for path in paths if path not in self._images]
        look_at = self._pool.map if self._pool else map
        self._images.update(zip(new, look_at(self._look, new), strict=True))
        return {path: self._images[path] for path in paths}

    def forget(self, label: str) -> None:
        """Drop what is known about a participant's files; nobody shares them."""
        self._images.clear()
        self.sidecars.forget(self.request.bids_dir / f'sub-{label}')

    def acquisition(self, scan: Scan, neighbours: Sequence[BidsName]) -> Acquisition:
        """Apply all rules and checks to one scan.

        Parameters
        ----------
        scan : Scan
            Its files.
        neighbours : sequence of BidsName
            All anatomical images of the participant, for the T1-weighted image.

        Returns
        -------
        Acquisition
            With its issues; ``usable`` tells whether it can be processed.
        """
        request = self.request
        findings = Findings(request.bids_dir, scan.key)
        pairs, form = pair_echoes(scan, findings)
        paths = [path for pair in pairs for path in pair.paths]
        images = self.inspect_all(paths)
        sidecars = {
            name.path: self.sidecars.read(name, findings)
            for pair in pairs
            for name in pair.parts.values()
        }
        image_checks.check_readable(images.values(), findings)
        image_checks.check_same_grid(images.values(), findings)
        image_checks.check_values(pairs, images, findings)
        checks.check_image_types(pairs, sidecars, findings)
        n_coils = count_coils(pairs, images, sidecars, findings)
        echoes = make_echoes(pairs, images, sidecars, findings, n_coils)
        checks.check_names(scan, len(echoes), findings)
        checks.check_protocol(sidecars, len(echoes), form, findings)

        # R2* needs neither the field nor its direction: for magnitudes alone that is no error
        about_field = Findings(request.bids_dir, scan.key)
        frequency = imaging_frequency(sidecars, request.field_strength, about_field)
        acquisition = Acquisition(
            entities=scan.entities,
            suffix=scan.suffix,
            echoes=echoes,
            shape=(0, 0, 0),
            voxel_size_mm=(0.0, 0.0, 0.0),
            affine=_NO_AFFINE,
            b0_direction=UNKNOWN,
            imaging_frequency_mhz=frequency or UNKNOWN,
            phase_scaling=self._scaling(pairs, form, images, sidecars, findings),
            n_coils=n_coils,
            metadata=common_values(sidecars),
        )
        acquisition = self._place(acquisition, images, sidecars, about_field)
        if form is Form.MAGNITUDE:
            acquisition = _with_some_direction(acquisition)
            findings.extend(i for i in about_field.issues if i.severity is not Severity.ERROR)
        else:
            findings.extend(about_field.issues)
        return self._accompany(acquisition, paths, neighbours, findings)

    def _scaling(
        self,
        pairs: Sequence[EchoFiles],
        form: Form,
        images: Mapping[Path, ImageInfo],
        sidecars: Mapping[Path, Sidecar],
        findings: Findings,
    ) -> PhaseScaling | None:
        if form is Form.MAGNITUDE:
            return None
        decide = decide_complex_scaling if form is Form.COMPLEX else decide_phase_scaling
        parts = ('real', 'imag') if form is Form.COMPLEX else ('phase',)
        used = [images[pair.parts[p].path] for pair in pairs for p in parts if p in pair.parts]
        return decide(used, sidecars, self.request.phase_sign, findings)

    def _place(
        self,
        acquisition: Acquisition,
        images: Mapping[Path, ImageInfo],
        sidecars: Mapping[Path, Sidecar],
        findings: Findings,
    ) -> Acquisition:
        """Add the grid: shape, voxel size, affine, field direction."""
        good = (i for i in images.values() if not i.problem)
        first = next((i for i in good if image_checks.valid_affine(i.affine)), None)
        if first is None:
            return acquisition
        direction, affine = b0_direction(first, sidecars, self.request.b0_dir, findings)
        acquisition = replace(
            acquisition,
            shape=first.grid_shape,
            voxel_size_mm=tuple(round(float(edge), 6) for edge in voxel_size(affine)),
            affine=affine,
            b0_direction=direction or UNKNOWN,
        )
        checks.check_geometry(acquisition, sidecars, findings)
        return acquisition

    def _accompany(
        self,
        acquisition: Acquisition,
        paths: Sequence[Path],
        neighbours: Sequence[BidsName],
        findings: Findings,
    ) -> Acquisition:
        """Add age, brain mask, T1-weighted image, T2 map, and what is marked."""
        request = self.request
        t1w = find_t1w(
            neighbours,
            paths,
            acquisition.session,
            request.filters['t1w'],
            self.inspect,
            findings,
        )
        age = self.ages.read(acquisition.participant, acquisition.session, paths, findings)
        mask = t2_map = ''
        marked = ()
        if any(acquisition.shape):
            mask = find_brain_mask(
                acquisition,
                request.mask_folders,
                request.mask_asked_for,
                self.inspect,
                findings,
            )
            t2_map = find_t2_map(acquisition, request.mask_folders, self.inspect, findings)
            marked = find_region_masks(acquisition, request.mask_folders, self.inspect, findings)
        return replace(
            acquisition, age_years=age, t1w=t1w, brain_mask=mask, t2_map=t2_map,
            region_masks=marked, issues=findings.issues,
        )  # fmt: skip


def _with_some_direction(acquisition: Acquisition) -> Acquisition:
    """Fill in a direction that nothing depends on, so that the grid is complete."""
    if acquisition.b0_direction.value is not None or not any(acquisition.shape):
        return acquisition
    decided = Decision(
        header_direction(acquisition.affine),
        Source.INFERRED,
        'from a header that is not in scanner coordinates; R2* does not depend on it',
    )
    return replace(acquisition, b0_direction=decided)
