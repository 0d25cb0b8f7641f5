"""Planning a large study: time and memory of 2,000 people with tiny images.

    python benchmarks/plan_scale.py --out FOLDER
    python benchmarks/plan_scale.py --out FOLDER --participants 200 --profile

A dataset is written (once: the folder is used again): four echoes of magnitude and phase each,
so eight images and eight sidecars a person, from three scanners, with what large studies have:
a broken sidecar, a missing image, people without an age. Then processes of their own measure

* ``plan``: the plan of all, as the first run makes it;
* ``again``: the same when what the images hold is remembered from an earlier run;
* ``dry run``: the plan and its description;
* ``one``: the plan of one person among all, which each job of an array makes.

Wall time, processor time and peak memory include the start of the interpreter. The target of
this project: all planned in less than 60 s and 1 GB, one of them in about a second.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

TARGET_S, TARGET_GB = 60.0, 1.0
MARKER = 'participants.txt'
# scanner, echo times (ms), field (T), voxel edge (mm), share of the people
PROTOCOLS = (
    ('Siemens', (5.0, 10.0, 15.0, 20.0), 2.89, 1.0, 0.7),
    ('Philips', (4.0, 8.0, 12.0, 16.0), 3.0, 1.0, 0.2),
    ('GE', (5.0, 10.0, 15.0, 20.0), 3.0, 1.2, 0.1),
)
SHAPE = (8, 8, 8)


def main() -> int:
    """Write, measure, print; the exit code is 1 beyond the target."""
    args = build_parser().parse_args()
    folder = args.out.resolve()
    if args.child:
        return measure(folder, args.child, args.profile)
    begin = time.monotonic()
    if write_dataset(folder / 'bids', args.participants):
        print(f'dataset written in {time.monotonic() - begin:.1f} s')
    shutil.rmtree(folder / 'memory', ignore_errors=True)
    print(f'{args.participants} participants, {8 * args.participants} images')
    print(f'{"":<10}{"wall":>9}{"processor":>11}{"peak":>10}')
    missed = False
    for what in ('plan', 'again', 'dry run', 'one'):
        wall, seconds, peak = run_child(what, args)
        print(f'{what:<10}{wall:7.1f} s{seconds:9.1f} s{peak:7.2f} GB', flush=True)
        missed |= wall > TARGET_S or peak > TARGET_GB
    return int(missed)


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for the dataset')
    parser.add_argument('--participants', type=int, default=2000)
    parser.add_argument('--profile', action='store_true', help='say where the time goes')
    parser.add_argument('--child', default='', help=argparse.SUPPRESS)
    return parser


def run_child(what: str, args: argparse.Namespace) -> tuple[float, float, float]:
    """Measure in a fresh interpreter; return wall and processor time (s) and memory (GB)."""
    command = [sys.executable, __file__, '--out', str(args.out), '--child', what]
    command += ['--profile'] * args.profile
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    *report, last = done.stdout.splitlines()
    print('\n'.join(report), end='\n' * bool(report))
    return time.monotonic() - begin, seconds, float(last)


def measure(folder: Path, what: str, profile: bool) -> int:
    """Do one of the things that are measured; print the peak memory (GB) last."""
    import cProfile
    import pstats

    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    do(folder, what)
    if profile:
        profiler.disable()
        pstats.Stats(profiler).sort_stats('tottime').print_stats(25)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
    return 0


def do(folder: Path, what: str) -> None:
    """Plan, or plan and describe."""
    from qsmbids.bids.write import write_json
    from qsmbids.plan.image_memory import ImageMemory
    from qsmbids.plan.planner import make_plan

    labels = ['0001'] if what == 'one' else []
    memory = ImageMemory(lambda label: folder / 'memory' / f'sub-{label}.json', write_json)
    plan = make_plan(
        folder / 'bids',
        participant_labels=labels,
        memory=memory if what in ('plan', 'again') else None,
    )
    if what == 'dry run':
        from qsmbids.plan.describe import describe

        (folder / 'dry-run.txt').write_text(describe(plan), encoding='utf-8')


def write_dataset(root: Path, participants: int) -> bool:
    """Write the dataset, unless it is there; return whether it was written.

    Images are links to a few files, so that thousands take seconds; sidecars are files of
    their own, as long as those of converters.
    """
    marker = root.with_name(MARKER)
    if marker.is_file() and marker.read_text() == str(participants):
        return False
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    (root / 'dataset_description.json').write_text('{"Name": "scale", "BIDSVersion": "1.11.1"}')
    images = _images(root.with_name('images'))
    ages = ['participant_id\tage']
    for i in range(participants):
        label = f'{i + 1:04d}'
        _write_person(root, label, i, participants, images)
        if i % 97 != 50:
            ages.append(f'sub-{label}\t{20 + i % 60}')
    (root / 'participants.tsv').write_text('\n'.join(ages) + '\n')
    anat = root / 'sub-0003' / 'anat'
    if participants >= 5:
        (anat / 'sub-0003_echo-2_part-phase_MEGRE.json').write_text('{"EchoTime": 0.01')
        (root / 'sub-0005/anat/sub-0005_echo-3_part-mag_MEGRE.nii.gz').unlink()
    marker.write_text(str(participants))
    return True


def _images(folder: Path) -> dict[tuple[str, float], Path]:
    """Write one image for each part and voxel edge."""
    import nibabel as nib
    import numpy as np

    folder.mkdir(exist_ok=True)
    rng, found = np.random.default_rng(1), {}
    for edge in {protocol[3] for protocol in PROTOCOLS}:
        affine = np.diag([edge, edge, edge, 1.0])
        for part in ('mag', 'phase'):
            values = rng.uniform(10, 1000, SHAPE)
            if part == 'phase':
                values = rng.integers(0, 4096, SHAPE)
                values.flat[:2] = 0, 4095
            image = nib.Nifti1Image(values.astype(np.int16), affine)
            image.set_sform(affine, 1)
            image.set_qform(affine, 1)
            found[part, edge] = folder / f'{part}-{edge}.nii.gz'
            nib.save(image, found[part, edge])
    return found


def _write_person(
    root: Path, label: str, i: int, of: int, images: dict[tuple[str, float], Path]
) -> None:
    share, scanner = i / of, PROTOCOLS[-1]
    for protocol in PROTOCOLS:
        if share < protocol[4]:
            scanner = protocol
            break
        share -= protocol[4]
    vendor, times, field, edge, _ = scanner
    anat = root / f'sub-{label}' / 'anat'
    anat.mkdir(parents=True)
    for echo, time_ms in enumerate(times, start=1):
        for part in ('mag', 'phase'):
            stem = anat / f'sub-{label}_echo-{echo}_part-{part}_MEGRE'
            os.link(images[part, edge], f'{stem}.nii.gz')
            sidecar = {
                'Manufacturer': vendor, 'MagneticFieldStrength': field, 'EchoTime': time_ms / 1000,
                'ImageType': ['ORIGINAL', 'PRIMARY', part[0].upper(), 'ND'], 'FlipAngle': 15,
                'RepetitionTime': 0.05, 'SeriesInstanceUID': f'1.2.3.{i}', 'EchoNumber': echo,
                'ImageOrientationPatientDICOM': [1, 0, 0, 0, 1, 0],
                'AcquisitionTime': f'10:{i % 60:02d}:00', 'PixelBandwidth': 300,
                **{f'Field{n:02d}': f'value {n} of a converter' for n in range(25)},
            }  # fmt: skip
            if part == 'phase':
                sidecar['Units'] = 'arbitrary'
            Path(f'{stem}.json').write_text(json.dumps(sidecar, indent=1))


if __name__ == '__main__':
    sys.exit(main())
