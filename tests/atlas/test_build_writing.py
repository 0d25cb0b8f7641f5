"""The folder that is written is an atlas that the reader accepts, or is not there at all."""

import json
from dataclasses import replace

import numpy as np
import pytest

from qsmbids.atlas.build.writing import PROVENANCE, BuiltAtlas, BuiltCohort, write_built
from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.images import read_image, write_image

AFFINE = np.diag((2.0, 2, 2, 1))
AFFINE[:3, 3] = (-19, -20, -20)
LABELS = (
    Label(1, 'PutamenLeft', 'PU-L', 'L', 'deep grey', '#f28e2b', 'Putamen'),
    Label(2, 'PutamenRight', 'PU-R', 'R', 'deep grey', '#f28e2b', 'Putamen'),
)


@pytest.fixture
def built(tmp_path):
    """Two cohorts with all kinds of images; the older one has no R2*."""
    made = tmp_path / 'made'
    made.mkdir()
    rng = np.random.default_rng(1)
    mask = np.zeros((20, 20, 20), bool)
    mask[3:17, 3:17, 3:17] = True
    dseg = np.zeros(mask.shape, np.int16)
    dseg[5:7, 8:12, 8:12], dseg[13:15, 8:12, 8:12] = 1, 2

    def image(name, array):
        return write_image(made / f'{name}.nii', array, AFFINE, 2)

    cohorts = []
    for number, (low, high) in enumerate(((8, 21), (40, 60)), start=1):
        maps = {
            key: image(f'{key}{number}', np.where(mask, rng.random(mask.shape), 0).astype('f4'))
            for key in ('chi', 'chi_sd', 't2starw', 'r2star', 'r2star_sd', 'group_chi')
        }
        maps['mask'] = image(f'mask{number}', mask)
        maps['chi_n'] = image(f'n{number}', (4 * mask).astype(np.int16))
        maps['to_common'] = image(f'to_common{number}', mask)
        cohorts.append(BuiltCohort(str(number), low, high, (low + high) / 2, 4, maps))
    older = {k: v for k, v in cohorts[1].files.items() if not k.startswith('r2star')}
    cohorts[1] = replace(cohorts[1], files=older)
    return BuiltAtlas(
        name='Mine', licence='CC0', cohorts=cohorts, dseg=image('dseg', dseg), labels=LABELS,
        reference='whole-brain', labels_source='carried from somewhere.',
        notes=('sub-07 is left out: it moved',), provenance={'Seed': 1},
    )  # fmt: skip


def test_the_reader_finds_everything(built, tmp_path):
    folder = write_built(tmp_path / 'out', built)
    assert folder == tmp_path / 'out' / 'Mine'
    atlas = open_atlas(folder)
    assert atlas.shares_space
    assert [(c.label, c.age_min, c.age_max) for c in atlas.cohorts] == [
        ('1', 8, 21), ('2', 40, 60),
    ]  # fmt: skip
    assert atlas.labels == LABELS
    files = atlas.files('1')
    assert np.array_equal(read_image(files.chi)[0], read_image(built.cohorts[0].files['chi'])[0])
    assert files.chi_std is not None
    assert files.t2starw is not None
    assert files.r2starmap is not None
    assert atlas.files('2').r2starmap is None
    names = {path.name for path in (folder / 'tpl-Mine' / 'cohort-1').iterdir()}
    assert 'tpl-Mine_cohort-1_from-group_to-common_mode-image_xfm.nii.gz' in names
    assert 'tpl-Mine_cohort-1_res-1_desc-count_Chimap.json' in names
    assert {n.split('.')[0] for n in names if n.endswith('.json')} == {
        n.split('.')[0] for n in names
    }  # every file has its sidecar
    sidecar = json.loads((files.chi.parent / 'tpl-Mine_cohort-1_res-1_Chimap.json').read_text())
    assert sidecar['Units'] == 'ppm'
    assert sidecar['SusceptibilityReference'] == 'whole-brain'
    assert sidecar['SampleSize'] == 4
    assert 'sub-07 is left out: it moved' in (folder / 'README.md').read_text()
    assert json.loads((folder / PROVENANCE).read_text()) == {'Seed': 1}


def test_equal_content_gives_equal_bytes(built, tmp_path):
    one, other = write_built(tmp_path / 'a', built), write_built(tmp_path / 'b', built)
    for path in sorted(p for p in one.rglob('*') if p.is_file()):
        assert path.read_bytes() == (other / path.relative_to(one)).read_bytes(), path.name


def test_an_atlas_is_replaced_only_on_request(built, tmp_path):
    folder = write_built(tmp_path, built)
    with pytest.raises(AtlasError, match='exists'):
        write_built(tmp_path, built)
    (folder / 'old').touch()
    write_built(tmp_path, built, replace=True)
    assert not (folder / 'old').exists()
    (folder / PROVENANCE).unlink()
    with pytest.raises(AtlasError, match='was not built') as info:
        write_built(tmp_path, built, replace=True)
    assert len(str(info.value).splitlines()) == 3
    assert (folder / 'README.md').is_file()


def test_nothing_is_left_when_the_reader_would_refuse_it(built, tmp_path):
    swapped = [replace(label, hemisphere='LR'[label.hemisphere == 'L']) for label in LABELS]
    with pytest.raises(AtlasError, match='wrong side'):
        write_built(tmp_path / 'out', replace(built, labels=swapped))
    assert list((tmp_path / 'out').iterdir()) == []


@pytest.mark.parametrize('name', ['', 'My-Atlas', 'a_b', '../x', 'Ätlas'])
def test_names_that_break_file_names_are_refused(built, tmp_path, name):
    with pytest.raises(AtlasError, match='cannot be the name') as info:
        write_built(tmp_path / 'out', replace(built, name=name))
    assert len(str(info.value).splitlines()) == 3
