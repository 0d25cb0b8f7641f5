"""How well the labels of the built-in atlas agree with drawn label maps: Dice per nucleus.

    python benchmarks/atlas_overlap.py --allen FOLDER --cit168 FOLDER

prints the tables of docs/atlas-allen.md. The folder of Allen holds ``AllenAtlas.nii.gz`` and
``AllenAtlas.json`` as published. The folder of CIT168 holds ``CIT168toMNI152-2009c_prob.nii.gz``
as published, or a label image ``*_dseg.nii.gz`` with the same numbers (1 to 32).

    python benchmarks/atlas_overlap.py --cit168 FOLDER --register

registers the T1-weighted brain of CIT168 (``T1w_brain_*.nii.gz``) to the template and prints the
twelve numbers of ``qsmbids.atlas.cit168.TO_CIT168`` (half a minute on one core).

The built-in shapes were fitted to the Allen labels, so that table says how much the smooth
shapes lose. CIT168 was drawn in other people and is independent of both.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from qsmbids.atlas.allen import convert_labels
from qsmbids.atlas.allen_regions import allen_labels
from qsmbids.atlas.cit168 import IMAGE, TO_CIT168, cit168_labels, decode, place_nuclei
from qsmbids.atlas.contrast import atlas_grid
from qsmbids.atlas.geometry import Label, label_table

# regions of one map that are several of another
ALLEN_PARTS = {
    'ThalamusAnterior': ('AnteriorNuclearComplex', 'LateralDorsalNucleus'),
    'ThalamusMedian': (
        'MediodorsalNucleus', 'CentromedianNucleus', 'ParafascicularNucleus', 'ReuniensNucleus',
    ),
    'ThalamusLateral': (
        'VentralAnteriorNucleus', 'VentralLateralNucleus', 'VentralPosteriorLateralNucleus',
        'VentralPosteriorMedialNucleus', 'LateralPosteriorNucleus',
    ),
}  # fmt: skip
CIT168_PARTS = {'SubstantiaNigra': ('SubstantiaNigraCompacta', 'SubstantiaNigraReticulata')}
N_CIT168 = 32

Masks = dict[tuple[str, str], np.ndarray]


def masks_of(volume: np.ndarray, labels: Sequence[Label]) -> Masks:
    """Return the mask of every region and side that is there."""
    present = set(np.unique(volume).tolist())
    return {(b.region, b.hemisphere): volume == b.index for b in labels if b.index in present}


def merge(masks: Masks, parts: Mapping[str, Sequence[str]]) -> Masks:
    """Add regions made of several, divided at x = 0 where a part is a midline region."""
    grid = atlas_grid()
    x = (grid.affine[0, 0] * np.arange(grid.labels.shape[0]) + grid.affine[0, 3])[:, None, None]
    merged = dict(masks)
    for region, names in parts.items():
        for side, half in (('L', x < 0), ('R', x > 0)):
            found = [masks[name, side] for name in names if (name, side) in masks]
            found += [masks[name, 'B'] & half for name in names if (name, 'B') in masks]
            if found:
                merged[region, side] = np.logical_or.reduce(found)
    return merged


def table(first: Masks, second: Masks, first_name: str, second_name: str) -> str:
    """Compare the regions that both have, as a markdown table."""
    lines = [
        f'| region | Dice left | Dice right | {first_name}, mm³ | {second_name}, mm³ '
        '| centres apart, mm |',
        '|---|---|---|---|---|---|',
    ]
    values = []
    for region in dict.fromkeys(name for name, _ in first):
        sides = [s for s in 'LRB' if (region, s) in first and (region, s) in second]
        if not sides:
            continue
        pairs = [(first[region, s], second[region, s]) for s in sides]
        dice = [dice_of(a, b) for a, b in pairs]
        apart = [
            np.linalg.norm(np.subtract(ndimage.center_of_mass(a), ndimage.center_of_mass(b)))
            for a, b in pairs
        ]
        volumes = [np.mean([pair[k].sum() for pair in pairs]) for k in (0, 1)]
        shown = [f'{d:.2f}' for d in dice] if len(dice) == 2 else [f'{dice[0]:.2f} (midline)', '–']
        lines.append(
            f'| {region} | {shown[0]} | {shown[1]} | {volumes[0]:.0f} | {volumes[1]:.0f} '
            f'| {np.mean(apart):.1f} |'
        )
        values += dice
    lines.append(f'| **mean** | **{np.mean(values):.3f}** | | | | |')
    return '\n'.join(lines)


def cit168_masks(folder: Path, to_source: np.ndarray) -> Masks:
    """Read CIT168, as published or as a label image, on the grid of the atlas."""
    grid = atlas_grid()
    if (folder / IMAGE).exists():
        first, second, affine = decode(folder / IMAGE)
    else:
        image = nib.load(next(folder.glob('*_dseg.nii.gz')))
        labels = np.asarray(image.dataobj)
        # a label image says 'most probable' but not how probable: half a voxel at its border
        # has to be lost or won alike, hence one half instead of one quarter
        first = np.stack([labels, 0.5 * (labels > 0)]).astype(np.float32)
        second, affine = np.zeros_like(first), image.affine
    volume = place_nuclei(first, second, affine, grid.labels.shape, grid.affine, to_source)
    nuclei = [label for label in cit168_labels()[0] if label.index <= N_CIT168]
    return merge(masks_of(volume, nuclei), CIT168_PARTS)


def dice_of(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice overlap of two masks."""
    return float(2 * np.sum(a & b) / (a.sum() + b.sum()))


def mean_dice(first: Masks, second: Masks) -> float:
    """Return the mean Dice of the nuclei that both have."""
    return float(np.mean([dice_of(first[key], second[key]) for key in first if key in second]))


def register(folder: Path) -> np.ndarray:
    """Register the T1-weighted brain of CIT168 to the template; return template to CIT168."""
    import ants

    grid = atlas_grid()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, 'template.nii.gz')
        nib.save(nib.Nifti1Image(grid.t1w * grid.brain_mask, grid.affine), path)
        found = ants.registration(
            ants.image_read(str(path)),
            ants.image_read(str(next(folder.glob('T1w_brain_*.nii.gz')))),
            'Affine', aff_metric='mattes', random_seed=1, outprefix=f'{scratch}/to_',
        )  # fmt: skip
        transform = ants.read_transform(found['fwdtransforms'][0])
        flip = np.array((-1, -1, 1))  # ITK counts left and posterior as positive
        corners = np.vstack([np.zeros(3), np.eye(3)])
        moved = np.array([transform.apply_to_point(flip * c) for c in corners]) * flip
    affine = np.eye(4)
    affine[:3, 3] = moved[0]
    affine[:3, :3] = (moved[1:] - moved[0]).T
    return affine


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--allen', type=Path, help='folder of the Allen atlas as published')
    parser.add_argument('--cit168', type=Path, help='folder of CIT168')
    parser.add_argument('--register', action='store_true', help='print the affine to CIT168')
    args = parser.parse_args()
    builtin = masks_of(atlas_grid().labels, label_table())
    allen = None
    if args.allen:
        allen = masks_of(convert_labels(args.allen).labels, allen_labels())
        allen = merge(allen, ALLEN_PARTS)
        print(table(builtin, allen, 'built-in', 'Allen'), end='\n\n')
    if args.cit168 and args.register:
        print(np.array2string(register(args.cit168), precision=5, suppress_small=True))
    elif args.cit168:
        cit168 = cit168_masks(args.cit168, TO_CIT168)
        print(table(builtin, cit168, 'built-in', 'CIT168'), end='\n\n')
        if allen:
            print(table(allen, cit168, 'Allen', 'CIT168'), end='\n\n')
            plain = mean_dice(allen, cit168_masks(args.cit168, np.eye(4)))
            print(f'Allen and CIT168 without the affine: mean Dice {plain:.3f}')
    if not (args.allen or args.cit168):
        parser.error('give --allen or --cit168')


if __name__ == '__main__':
    main()
