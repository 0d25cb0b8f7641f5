"""A sphere in a tilted slab, as NIfTI files, for the tests of ``qsmbids-step``."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids import qsm
from qsmbids.cli.step import main
from qsmbids.qsm.fft import irfftn, rfftn

SHAPE = (24, 26, 22)
VOXEL_MM = (1.5, 1.5, 2.0)
FREQUENCY_MHZ = 123.2
ECHO_TIMES_S = (0.004, 0.010, 0.016, 0.022)
TILT_DEG = 25.0


@dataclass(frozen=True)
class Sphere:
    """Arrays of a sphere of 0.4 ppm in a larger one, and the folder with the same as files."""

    folder: Path
    affine: np.ndarray
    grid: qsm.Grid
    mask: np.ndarray
    inner: np.ndarray
    field_hz: np.ndarray
    phase: np.ndarray
    magnitude: np.ndarray
    echo_times_s: tuple[float, ...] = ECHO_TIMES_S
    frequency_mhz: float = FREQUENCY_MHZ

    def path(self, name: str) -> str:
        return str(self.folder / f'{name}.nii.gz')

    def save(self, name: str, data: np.ndarray, code: int = 1, **sidecar) -> str:
        """Write an array, an echo axis first, and its sidecar if there is one."""
        if data.dtype == bool:
            data = data.astype(np.uint8)
        image = nib.Nifti1Image(np.moveaxis(data, 0, -1) if data.ndim == 4 else data, self.affine)
        image.set_sform(self.affine, code)
        image.set_qform(self.affine, code)
        nib.save(image, self.path(name))
        if sidecar:
            (self.folder / f'{name}.json').write_text(json.dumps(sidecar))
        return self.path(name)

    def read(self, name: str) -> np.ndarray:
        """Return an image as the engine has it: the echo first."""
        data = np.asarray(nib.load(self.path(name)).dataobj)
        return np.moveaxis(data, -1, 0) if data.ndim == 4 else data

    def sidecar(self, name: str) -> dict:
        return json.loads((self.folder / f'{name}.json').read_text())

    def run(self, *argv: str) -> int:
        """Run a command in the folder of the files."""
        if argv and '--threads' not in argv:
            argv = (*argv, '--threads', '1')
        return main(argv)

    def echo_files(self, kind: str) -> list[str]:
        return [f'{kind}-{e}.nii.gz' for e in range(1, len(ECHO_TIMES_S) + 1)]


def tilted_affine() -> np.ndarray:
    """A slab turned about the left-right axis, its first axis running to the left."""
    c, s = np.cos(np.radians(TILT_DEG)), np.sin(np.radians(TILT_DEG))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-VOXEL_MM[0], *VOXEL_MM[1:]])
    affine[:3, 3] = 3, -10, 7
    return affine


@pytest.fixture
def sphere(all_files, tmp_path, monkeypatch) -> Sphere:
    """Files field, noise, mask, phase, magnitude (4-D), and phase-1 ... magnitude-4 (3-D)."""
    folder = tmp_path / 'files'
    shutil.copytree(all_files.folder, folder)
    monkeypatch.chdir(folder)
    return replace(all_files, folder=folder)


@pytest.fixture(scope='session')
def all_files(tmp_path_factory) -> Sphere:
    """The files that every test gets a copy of."""
    affine = tilted_affine()
    grid = qsm.Grid.from_affine(SHAPE, affine)
    centres = [
        (np.arange(n) - (n - 1) / 2) * h for n, h in zip(SHAPE, VOXEL_MM, strict=True)
    ]  # mm
    radius = np.sqrt(sum(x**2 for x in np.meshgrid(*centres, indexing='ij')))
    mask, inner = radius < 14, radius < 5
    chi = np.where(inner, 0.4, 0.0).astype(np.float32)
    kernel = qsm.dipole_kernel(SHAPE, grid.voxel_size, grid.b0_direction)
    field_hz = FREQUENCY_MHZ * irfftn(rfftn(chi) * kernel, SHAPE)
    times = np.reshape(ECHO_TIMES_S, (-1, 1, 1, 1))
    rng = np.random.default_rng(1)
    noise = 0.02 * rng.standard_normal((2, len(ECHO_TIMES_S), *SHAPE))
    signal = np.exp(-20 * times + 1j * (2 * np.pi * field_hz * times + 0.5))
    signal = np.where(radius < 14, signal, 0) + noise[0] + 1j * noise[1]
    made = Sphere(
        tmp_path_factory.mktemp('sphere'), affine, grid, mask, inner, field_hz.astype(np.float32),
        np.angle(signal).astype(np.float32), (100 * np.abs(signal)).astype(np.float32),
    )  # fmt: skip
    made.save('mask', mask)
    made.save('field', made.field_hz)
    made.save('noise', np.where(mask, 0.5 + 0.1 * inner, 0).astype(np.float32))
    made.save('phase', made.phase)
    made.save('magnitude', made.magnitude)
    for e, time in enumerate(ECHO_TIMES_S, start=1):
        facts = {'EchoTime': time, 'ImagingFrequency': FREQUENCY_MHZ}
        made.save(f'phase-{e}', made.phase[e - 1], **facts, Units='rad')
        made.save(f'magnitude-{e}', made.magnitude[e - 1], **facts)
    return made
