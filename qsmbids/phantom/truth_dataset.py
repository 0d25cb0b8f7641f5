"""Write what is true about simulated heads as a BIDS derivative data set."""

from __future__ import annotations

from dataclasses import asdict, astuple, fields
from pathlib import Path

import numpy as np

from qsmbids import __version__
from qsmbids.lifespan.prior import NOTICE
from qsmbids.phantom.files import BIDS_VERSION, write_image, write_json, write_tsv
from qsmbids.phantom.label_anatomy import LabelAnatomy, builtin_anatomy
from qsmbids.phantom.simulate import Head
from qsmbids.phantom.truth import RegionTruth

TRUTH_FOLDER = 'phantom-truth'
_REFERENCE = 'CSF'  # zero of the true susceptibility
_COLUMNS = {
    'index': 'Label index of the atlas, 0 for the whole brain',
    'name': 'Name of the region with its side',
    'abbreviation': 'Short name',
    'hemisphere': 'L, R or B (midline or both)',
    'group': 'Kind of region',
    'n_voxels': 'Number of voxels of the data grid that mostly belong to the region',
    'volume_mm3': 'Volume on the fine grid, mm^3',
    'chi_data_ppm': 'Mean true susceptibility of those voxels, ppm; compare maps with this',
    'chi_fine_ppm': 'Mean susceptibility of the region itself, without partial volume, ppm',
    'chi_curve_ppm': f'Age curve that the region follows, ppm ({NOTICE})',
}


def write_truth(root: Path, label: str, head: Head) -> None:
    """Write the truth of one subject.

    Parameters
    ----------
    root : Path
        The derivative data set.
    label : str
        Participant label without ``sub-``.
    head : Head
    """
    anat = root / f'sub-{label}' / 'anat' / f'sub-{label}'
    fmap = root / f'sub-{label}' / 'fmap' / f'sub-{label}'
    inside = head.brain_mask
    _save(
        anat, 'desc-truth_Chimap', np.where(inside, head.chi, 0), head,
        Description='True susceptibility, mean over each voxel, zero outside the brain',
        Units='ppm', SkullStripped=True, SusceptibilityReference=_REFERENCE,
        WholeBrainMean=round(head.whole_brain_chi_ppm, 7),
        Deformation=asdict(head.deformation),
    )  # fmt: skip
    _save(
        anat, 'desc-truth_R2starmap', np.where(inside, head.r2star, 0), head,
        Description='True R2*, mean over each voxel, without dephasing within the voxel',
        Units='1/s', SkullStripped=True,
    )  # fmt: skip
    _save(
        anat, 'desc-brain_mask', inside, head, np.uint8,
        Description='Voxels of which at least half is brain', Type='Brain',
    )  # fmt: skip
    _save(
        anat, 'desc-truth_dseg', head.labels, head, np.int16,
        Description='Atlas label that most of the voxel belongs to',
    )  # fmt: skip
    write_tsv(
        Path(f'{anat}_desc-truth_dseg.tsv'),
        ('index', 'name', 'abbreviation', 'color'),
        [(row.index, row.name, row.abbreviation, row.color) for row in head.label_table],
    )
    _save(
        fmap, 'desc-total_fieldmap', head.total_field_hz, head,
        Description='True field of all sources after shimming', Units='Hz', SkullStripped=False,
    )  # fmt: skip
    _save(
        fmap, 'desc-local_fieldmap', head.local_field_hz, head,
        Description='True field of the sources inside the brain', Units='Hz', SkullStripped=False,
    )  # fmt: skip
    _save(
        fmap, 'magnitude', head.magnitude[0], head,
        Description='Magnitude of the first echo', SkullStripped=False,
    )  # fmt: skip
    _write_regions(Path(f'{anat}_desc-regions_Chimap'), head)


def write_truth_furniture(root: Path, regions: LabelAnatomy | None = None) -> None:
    """Write the files that describe the derivative data set."""
    made_of = regions or builtin_anatomy()
    write_json(
        root / 'dataset_description.json',
        {
            'Name': 'Truth of the simulated heads',
            'BIDSVersion': BIDS_VERSION,
            'DatasetType': 'derivative',
            'License': made_of.licence,
            'GeneratedBy': [{'Name': 'phantom', 'Version': __version__}],
            'DatasetLinks': {'raw': '../..'},
        },
    )
    (root / 'README.md').write_text(
        '# Truth of the simulated heads\n\n'
        'Susceptibility is relative to cerebrospinal fluid. To compare it with a map that is\n'
        'referenced to the whole brain, subtract the whole-brain mean first (row 0 of the\n'
        'region table, `WholeBrainMean` in the sidecar of the susceptibility map).\n',
        encoding='utf-8',
    )
    (root / '.bidsignore').write_text('*_desc-regions_*\n', encoding='utf-8')


def _write_regions(stem: Path, head: Head) -> None:
    header = [field.name for field in fields(RegionTruth)]
    write_tsv(stem.with_suffix('.tsv'), header, [astuple(row) for row in head.regions])
    write_json(
        stem.with_suffix('.json'),
        {
            'Description': 'True susceptibility by region',
            'SusceptibilityReference': _REFERENCE,
            **{name: {'Description': _COLUMNS[name]} for name in header},
        },
    )


def _save(
    stem: Path,
    name: str,
    values: np.ndarray,
    head: Head,
    dtype: type[np.generic] = np.float32,
    **sidecar: object,
) -> None:
    write_image(Path(f'{stem}_{name}.nii.gz'), values, head.affine, dtype)
    write_json(Path(f'{stem}_{name}.json'), sidecar)
