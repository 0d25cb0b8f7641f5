"""People warped from the Allen anatomy, and the atlases that they are registered to.

Used by ``registration.py``. A person is made of the label map of the Allen Human Reference
Atlas, deformed by up to 10 mm beyond head size and pose, and lies obliquely in the scanner.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.atlas.builtin import write_builtin
from qsmbids.phantom import PhantomParameters, write_dataset
from qsmbids.phantom.allen import allen_anatomy
from qsmbids.phantom.anatomy import draw_anatomy
from qsmbids.phantom.deformation import measure_deformation
from qsmbids.phantom.files import write_image, write_json
from qsmbids.phantom.label_anatomy import LabelAnatomy
from qsmbids.phantom.signal import block_mean, receive, spin_signal
from qsmbids.phantom.truth import data_labels
from qsmbids.phantom.truth_dataset import TRUTH_FOLDER

ALLEN = 'QSMLifespanAllen'
DISPLACEMENT_MM = 10.0
# of the susceptibility map without reconstruction: what a reconstruction typically leaves
_CHI_NOISE_PPM, _CHI_BLUR_VOXELS, _LOST_RIM_MM = 0.010, 0.5, 3.0


@dataclass(frozen=True)
class Person:
    """Where the truth of a simulated person lies, and how deformed it is."""

    label: str
    age: float
    chi: Path  # ppm, zero is cerebrospinal fluid
    dseg: Path
    deformation: dict[str, float]


def parameters_of(voxel_size: float, seed: int) -> PhantomParameters:
    """Return the protocol: the phantom's own, with the greater deformation."""
    return PhantomParameters(voxel_size_mm=voxel_size, warp_max_mm=DISPLACEMENT_MM, seed=seed)


@cache
def anatomy(allen: Path) -> LabelAnatomy:
    """Read the Allen label map once."""
    return allen_anatomy(allen)


def simulate_dataset(
    folder: Path, allen: Path, ages: list[float], voxel_size: float, seed: int
) -> list[Person]:
    """Write a raw dataset with its truth, unless it is there from an earlier run."""
    parameters, bids = parameters_of(voxel_size, seed), folder / 'bids'
    _keep_if_same(folder, [bids], f'{ages} {parameters}')
    if not bids.exists():
        write_dataset(
            bids, ages, parameters=parameters, regions=anatomy(allen),
            progress=lambda part, text: print(f'  [{100 * part:3.0f} %] {text}', flush=True),
        )  # fmt: skip
    people = []
    for number, age in enumerate(ages, start=1):
        label = f'{number:02d}'
        truth = bids / 'derivatives' / TRUTH_FOLDER / f'sub-{label}' / 'anat' / f'sub-{label}'
        sidecar = json.loads(Path(f'{truth}_desc-truth_Chimap.json').read_text('utf-8'))
        people.append(
            Person(
                label, age, Path(f'{truth}_desc-truth_Chimap.nii.gz'),
                Path(f'{truth}_desc-truth_dseg.nii.gz'), sidecar['Deformation'],
            )
        )  # fmt: skip
    return people


def simulate_maps(
    folder: Path, allen: Path, age: float, voxel_size: float, seed: int
) -> dict[str, Path]:
    """Write what registration reads, without a reconstruction: seconds instead of minutes.

    Returns
    -------
    dict
        ``magnitude`` (root sum of squares, with skull, bias and noise), ``chi`` (truth with
        blur and noise of 2 voxels' grain, referenced to the brain, zero where a
        reconstruction loses the rim), ``chi_mask``, ``mask``, ``true_chi`` and ``dseg``
        (true labels, numbered as in ``anatomy``).
    """
    parameters = parameters_of(voxel_size, seed)
    here = folder / f'age-{age:g}_seed-{seed}_{voxel_size:g}mm'
    kinds = ('magnitude', 'chi', 'chi_mask', 'mask', 'true_chi', 'dseg')
    paths = {kind: here / f'{kind}.nii.gz' for kind in kinds}
    _keep_if_same(here, list(paths.values()), f'{parameters}')
    if all(path.is_file() for path in paths.values()):
        return paths
    drawn = draw_anatomy(age, parameters, np.random.default_rng([seed, 0]), anatomy(allen))
    factor, rng = parameters.oversampling, np.random.default_rng([seed, 1])
    brain = block_mean(drawn.brain.astype(np.float32), factor) >= 0.5
    signal = spin_signal(drawn, np.zeros(drawn.codes.shape, np.float32), parameters)
    signal, _, _ = receive(signal, brain, parameters, rng)
    chi = block_mean(drawn.chi_ppm, factor)
    depth = ndimage.distance_transform_edt(brain, parameters.voxel_size_mm)
    known = depth > _LOST_RIM_MM
    rough = ndimage.gaussian_filter(rng.standard_normal(chi.shape), 1.0)
    noisy = ndimage.gaussian_filter(np.where(brain, chi, 0), _CHI_BLUR_VOXELS)
    noisy = noisy + _CHI_NOISE_PPM / rough.std() * rough
    noisy = np.where(known, noisy - noisy[known].mean(), 0)
    images = {
        'magnitude': (np.linalg.norm(signal, axis=0), np.float32),
        'chi': (noisy, np.float32),
        'chi_mask': (known, np.uint8),
        'mask': (brain, np.uint8),
        'true_chi': (np.where(brain, chi, 0), np.float32),
        'dseg': (data_labels(drawn.labels, factor), np.int16),
    }
    for kind, (array, dtype) in images.items():
        write_image(paths[kind], array, parameters.affine, dtype)
    deformation = measure_deformation(drawn.warp, parameters.axes_mm(), brain)
    write_json(here / 'deformation.json', asdict(deformation))
    return paths


def atlas_folder(name: str, folder: Path, allen: Path) -> Path:
    """Return the folder of an atlas: built in, made of the Allen files, or given as a path."""
    if name == BUILTIN:
        return write_builtin(folder / 'atlases')
    if name != ALLEN:
        return Path(name)
    made = folder / 'atlases' / ALLEN
    if not made.is_dir():
        from qsmbids.atlas.allen import write_allen_atlas

        return write_allen_atlas(allen, made.parent)
    return made


def _keep_if_same(folder: Path, made: list[Path], wanted: str) -> None:
    """Remove what an earlier run made with other settings."""
    marker = folder / 'settings.txt'
    if marker.is_file() and marker.read_text('utf-8') == wanted:
        return
    for path in made:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(wanted, encoding='utf-8')


def read(path: Path) -> tuple[np.ndarray, float]:
    """Return the array of an image and the volume of a voxel in mm^3."""
    image = nib.load(path)
    return np.asanyarray(image.dataobj), float(np.abs(np.linalg.det(image.affine[:3, :3])))
