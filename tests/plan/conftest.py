"""Small synthetic BIDS datasets, built file by file."""

import gzip
import json
import os
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.plan import make_plan

SHAPE = (8, 8, 8)
AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])
METADATA = {'MagneticFieldStrength': 3.0, 'Manufacturer': 'Siemens'}


def magnitude(shape=SHAPE):
    return np.random.default_rng(1).integers(10, 1000, shape).astype(np.int16)


def phase(low=-np.pi, high=np.pi, dtype=np.float32, shape=SHAPE):
    """Return values that fill a range, as the noise around a head does."""
    values = np.random.default_rng(2).uniform(low, high, shape)
    values.flat[:2] = low, high
    return (
        values.round().astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)
    )


class Tree:
    """A dataset under construction."""

    magnitude = staticmethod(magnitude)
    phase = staticmethod(phase)

    def __init__(self, root: Path) -> None:
        self.root = root
        self.json('dataset_description.json', {'Name': 'test', 'BIDSVersion': '1.11.1'})
        self.table('participants.tsv', [{'participant_id': 'sub-01', 'age': '34'}])

    def plan(self, **wishes):
        return make_plan(self.root, **wishes)

    def only(self, **wishes):
        """Plan and return the only acquisition."""
        (person,) = self.plan(**wishes).participants
        (acquisition,) = person.acquisitions
        return acquisition

    def errors(self, **wishes) -> list[str]:
        """Return the codes of all errors."""
        plan = self.plan(**wishes)
        issues = [*plan.issues, *(i for p in plan.participants for i in p.all_issues)]
        return sorted(i.code for i in issues if i.severity == 'error')

    def issue(self, code: str, **wishes):
        """Return the one issue with a code, and check that it speaks to people."""
        plan = self.plan(**wishes)
        issues = [*plan.issues, *(i for p in plan.participants for i in p.all_issues)]
        (issue,) = [i for i in issues if i.code == code]
        assert issue.what.endswith('.')
        assert str(self.root) not in issue.what
        if issue.severity != 'note':
            assert issue.why
            assert issue.fix
        return issue

    def path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def json(self, name: str, values) -> Path:
        path = self.path(name)
        path.write_text(json.dumps(values))
        return path

    def edit(self, name: str, **values) -> None:
        """Change keys of a JSON file; None removes a key."""
        path = self.path(name)
        old = json.loads(path.read_text())
        new = {**old, **values}
        path.write_text(json.dumps({k: v for k, v in new.items() if v is not None}))

    def text(self, name: str, text: str) -> Path:
        path = self.path(name)
        path.write_text(text)
        return path

    def table(self, name: str, rows: list[dict]) -> Path:
        columns = list(rows[0])
        lines = ['\t'.join(columns), *('\t'.join(row[c] for c in columns) for row in rows)]
        return self.text(name, '\n'.join(lines) + '\n')

    def image(self, name: str, data, affine=AFFINE, codes=(1, 1), slope=None, inter=None) -> Path:
        """Write a NIfTI; codes are those of qform and sform."""
        path = self.path(name)
        image = nib.Nifti1Image(data, affine)
        image.set_qform(affine, codes[0])
        image.set_sform(affine, codes[1])
        nib.save(image, path)
        if slope is not None:  # nibabel would scale the data, so the header is patched
            raw = bytearray(gzip.decompress(path.read_bytes()))
            raw[112:120] = struct.pack('<ff', slope, inter)
            path.write_bytes(gzip.compress(bytes(raw)))
        return path

    def stem(self, sub='01', ses='', extra='') -> str:
        """Return folder and start of a file name."""
        session = f'ses-{ses}' if ses else ''
        folder = '/'.join(filter(None, [f'sub-{sub}', session, 'anat']))
        return f'{folder}/' + '_'.join(filter(None, [f'sub-{sub}', session, extra]))

    def scan(
        self,
        sub='01',
        ses='',
        extra='',
        times=(0.005, 0.010, 0.015),
        suffix='MEGRE',
        parts=('mag', 'phase'),
        echo='echo-{}',
        metadata=METADATA,
        phase_data=None,
        affine=AFFINE,
        codes=(1, 1),
        units='rad',
    ) -> None:
        """Write a whole scan with sidecars."""
        for number, time in enumerate(times, start=1):
            for part in parts:
                name = '_'.join(
                    filter(
                        None,
                        [
                            self.stem(sub, ses, extra),
                            echo.format(number),
                            f'part-{part}' if part else '',
                            suffix,
                        ],
                    )
                )
                if part in ('', 'mag'):
                    data = magnitude()
                elif part == 'phase':
                    data = phase() if phase_data is None else phase_data
                else:
                    data = phase(-500, 500)
                self.image(f'{name}.nii.gz', data, affine, codes)
                sidecar = {**metadata, 'EchoTime': time}
                if part == 'phase' and units:
                    sidecar['Units'] = units
                self.json(f'{name}.json', sidecar)


@pytest.fixture
def tree(tmp_path):
    """An empty dataset."""
    return Tree(tmp_path / 'data')


@pytest.fixture
def good(tree):
    """A dataset with one good three-echo scan."""
    tree.scan()
    return tree


@pytest.fixture
def philips():
    """The real data set, if it is at hand."""
    beside = Path(__file__).parents[2].parent / 'shared' / 'data'
    root = Path(os.environ.get('QSMBIDS_TEST_DATA', beside)) / 'philips-dualecho'
    if not root.is_dir():
        pytest.skip(f'real data not found in {root.parent}; set QSMBIDS_TEST_DATA')
    return root
