"""Write simulated heads as a raw BIDS data set, as a scanner and a converter would.

Phase is stored as Siemens does and dcm2niix keeps it: integers 0 to 4095 with NIfTI slope 2
and intercept -4096, so that a reader gets -4096 to 4094, which stand for -pi to pi.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from qsmbids import __version__
from qsmbids.phantom.files import BIDS_VERSION, write_image, write_json, write_tsv
from qsmbids.phantom.label_anatomy import LabelAnatomy, builtin_anatomy
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.phantom.simulate import Head, simulate_head
from qsmbids.phantom.truth_dataset import TRUTH_FOLDER, write_truth, write_truth_furniture

Progress = Callable[[float, str], None]

_PHASE_STEPS = 4096  # stored numbers per turn of phase
_PHASE_SLOPE, _PHASE_INTERCEPT = 2.0, -4096.0
_MAGNITUDE_PEAK = 4000  # 12 bit with a little headroom
_README = """# Simulated heads over the lifespan

Multi-echo gradient-echo data of heads that do not exist, made by qsmbids {version}. Anatomy is
a warped MNI152 template with {source}; susceptibility and R2*
follow the age curves of qsmbids, which are engineering priors, not published values. Sex is
listed to complete the table and has no effect on the images.

What is true about each head (susceptibility, fields, regions) is in `{truth}`.
"""
_PARTICIPANTS = {
    'age': {'Description': 'Age that was simulated', 'Units': 'year'},
    'sex': {
        'Description': 'Alternating label without any effect on the images',
        'Levels': {'F': 'female', 'M': 'male'},
    },
    'seed': {'Description': 'Seed of the random numbers of this head'},
}


def write_dataset(
    root: str | os.PathLike[str],
    ages: Sequence[float],
    *,
    parameters: PhantomParameters | None = None,
    progress: Progress | None = None,
    regions: LabelAnatomy | None = None,
) -> Path:
    """Simulate one subject per age and write them as a BIDS data set with its truth.

    Parameters
    ----------
    root : path
        Folder to make; it must not exist or be empty. It appears at once, when all
        subjects are done, so an interrupted run leaves nothing that looks finished.
    ages : sequence of float, years
        Subject ``sub-01`` has the first age, and so on.
    parameters : PhantomParameters, optional
        Subject number n (from 0) has the seed ``parameters.seed + n``.
    progress : callable(fraction, text), optional
        Called before every subject and at the end.
    regions : LabelAnatomy, optional
        What the brains are made of; by default the regions of the built-in atlas.

    Returns
    -------
    Path
        `root`. The truth is under ``derivatives/phantom-truth``.

    Raises
    ------
    ValueError
        If there is no age, an age is not usable, or the folder is not empty.
    """
    root = Path(root)
    parameters = parameters or PhantomParameters()
    _check(root, ages)
    report = progress or (lambda fraction, text: None)

    root.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f'.{root.name}-', dir=root.parent))
    try:
        labels = [f'{i + 1:02d}' for i in range(len(ages))]
        for i, (label, age) in enumerate(zip(labels, ages, strict=True)):
            report(i / len(ages), f'simulating sub-{label}, {age:g} years')
            head = simulate_head(
                age, seed=parameters.seed + i, parameters=parameters, regions=regions
            )
            write_raw(work, label, head)
            write_truth(work / 'derivatives' / TRUTH_FOLDER, label, head)
        write_furniture(work, labels, ages, parameters, regions)
        write_truth_furniture(work / 'derivatives' / TRUTH_FOLDER, regions)
        work.chmod(0o755)  # mkdtemp makes private folders
        if root.exists():
            root.rmdir()
        work.rename(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)  # nothing to remove after the rename
    report(1.0, f'wrote {len(ages)} simulated subjects')
    return root


def _check(root: Path, ages: Sequence[float]) -> None:
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(
            f'{root} exists and is not an empty folder.\n'
            'A simulated data set is never mixed with other files.\n'
            'Name a new folder, or remove this one first.'
        )
    if len(ages) == 0 or not all(age >= 0 for age in ages):
        raise ValueError(
            f'ages are {list(ages)}.\nOne subject is simulated for each age.\n'
            'Give at least one age, in years, none of them negative.'
        )


def write_raw(root: Path, label: str, head: Head, entities: str = '') -> None:
    """Write the echoes of one scan; ``entities`` tells scans apart, e.g. ``run-2``."""
    common = _common_metadata(head.parameters)
    scale = _MAGNITUDE_PEAK / float(head.magnitude.max())
    for number, echo_time in enumerate(head.echo_times_s, start=1):
        name = '_'.join(filter(None, [f'sub-{label}', entities, f'echo-{number}']))
        stem = root / f'sub-{label}' / 'anat' / name
        sidecar = {'EchoTime': echo_time, 'EchoNumber': number, **common}

        magnitude = np.rint(head.magnitude[number - 1] * scale)
        write_image(Path(f'{stem}_part-mag_MEGRE.nii.gz'), magnitude, head.affine, np.int16)
        write_json(
            Path(f'{stem}_part-mag_MEGRE.json'),
            {**sidecar, 'ImageType': ['DERIVED', 'PRIMARY', 'M', 'SIMULATED']},
        )
        write_image(
            Path(f'{stem}_part-phase_MEGRE.nii.gz'),
            _phase_numbers(head.phase[number - 1]),
            head.affine,
            np.int16,
            slope=_PHASE_SLOPE,
            intercept=_PHASE_INTERCEPT,
        )
        write_json(
            Path(f'{stem}_part-phase_MEGRE.json'),
            {
                **sidecar,
                'Units': 'arbitrary',
                'ImageType': ['DERIVED', 'PRIMARY', 'P', 'SIMULATED'],
            },
        )


def _phase_numbers(phase: np.ndarray) -> np.ndarray:
    """Radians to the 4096 numbers of a turn: -pi is 0, and pi is -pi again."""
    return np.rint((phase / (2 * np.pi) + 0.5) * _PHASE_STEPS) % _PHASE_STEPS


def _common_metadata(parameters: PhantomParameters) -> dict[str, object]:
    return {
        'Manufacturer': 'Simulated',
        'ManufacturersModelName': 'qsmbids phantom',
        'SoftwareVersions': __version__,
        'MagneticFieldStrength': parameters.field_strength_t,
        'ImagingFrequency': round(parameters.imaging_frequency_mhz, 6),
        'RepetitionTimeExcitation': parameters.repetition_time_s,
        'RepetitionTime': parameters.repetition_time_s,
        'FlipAngle': parameters.flip_angle_deg,
        'SliceThickness': parameters.voxel_size_mm[2],
        'MRAcquisitionType': '3D',
        'PulseSequenceType': 'Multi-echo gradient echo',
        'ScanningSequence': 'GR',
        'SequenceVariant': 'SP',
        'NonlinearGradientCorrection': False,
    }


def write_furniture(
    root: Path,
    labels: Sequence[str],
    ages: Sequence[float],
    parameters: PhantomParameters,
    regions: LabelAnatomy | None = None,
) -> None:
    """Write the files of the data set itself."""
    made_of = regions or builtin_anatomy()
    write_json(
        root / 'dataset_description.json',
        {
            'Name': 'Simulated heads over the lifespan',
            'BIDSVersion': BIDS_VERSION,
            'DatasetType': 'raw',
            'License': made_of.licence,
            'Authors': ['The qsmbids developers'],
            'GeneratedBy': [{'Name': 'qsmbids phantom', 'Version': __version__}],
        },
    )
    truth = f'derivatives/{TRUTH_FOLDER}'
    (root / 'README.md').write_text(
        _README.format(version=__version__, truth=truth, source=made_of.source), encoding='utf-8'
    )
    rows = [
        (f'sub-{label}', float(age), 'FM'[i % 2], parameters.seed + i)
        for i, (label, age) in enumerate(zip(labels, ages, strict=True))
    ]
    write_tsv(root / 'participants.tsv', ('participant_id', 'age', 'sex', 'seed'), rows)
    write_json(root / 'participants.json', _PARTICIPANTS)
