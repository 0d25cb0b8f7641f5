"""Where atlases are looked for, and a list that survives broken ones."""

import json
import sys

import numpy as np
import pytest

from qsmbids.atlas.builtin import cohort_bins
from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import label_table
from qsmbids.atlas.images import write_image
from qsmbids.atlas.sources import UnknownAtlasError
from qsmbids.atlas.store import (
    CACHE_VARIABLE,
    SOURCE_FILE,
    cache_folder,
    check_atlas,
    find_atlas,
    list_atlases,
)


@pytest.fixture(autouse=True)
def empty_installation(tmp_path, monkeypatch):
    """An installation of its own, so that atlases of this machine play no part."""
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'installation'))
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)


def write_atlas(cache, name):
    """Write a tiny atlas with two cohorts."""
    root = cache / name
    cohorts = {
        '1': {'name': 'young', 'age': [10, 20]},
        '2': {'name': 'older', 'age': [20, 60.5]},
    }
    chi = np.zeros((6, 6, 6), np.float32)
    chi[2:4, 2:4, 2:4] = 0.1
    for label in cohorts:
        folder = root / f'tpl-{name}' / f'cohort-{label}'
        folder.mkdir(parents=True)
        stem = f'{folder}/tpl-{name}_cohort-{label}'
        write_image(f'{stem}_Chimap.nii.gz', chi, np.eye(4))
        write_image(f'{stem}_desc-brain_mask.nii.gz', chi > 0, np.eye(4))
        write_image(f'{stem}_atlas-{name}_dseg.nii.gz', (chi > 0).astype(np.int16), np.eye(4))
    (root / f'tpl-{name}' / 'template_description.json').write_text(
        json.dumps({'License': 'CC0', 'cohort': cohorts})
    )
    (root / f'atlas-{name}_dseg.tsv').write_text('index\tname\n1\tNucleus\n')
    return root


# ------------------------------------------------------------------------------- folders
def test_option_comes_before_variable_before_installation(tmp_path, monkeypatch):
    default = tmp_path / 'installation/share/qsmbids/atlases'
    assert cache_folder() == default
    monkeypatch.setenv(CACHE_VARIABLE, '')
    assert cache_folder() == default
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / 'mine'))
    assert cache_folder() == tmp_path / 'mine'
    assert cache_folder(tmp_path / 'given') == tmp_path / 'given'
    assert not any(tmp_path.iterdir()), 'asking for the folder makes none'


def test_builtin_name_is_written_into_the_work_folder(tmp_path):
    found = find_atlas('QSMLifespan', tmp_path / 'cache', tmp_path / 'work')
    assert found == tmp_path / 'work/atlases/QSMLifespan'
    assert open_atlas(found).cohorts == cohort_bins()


def test_folder_is_itself(tmp_path, monkeypatch):
    mine = write_atlas(tmp_path, 'Mine')
    assert find_atlas(str(mine), None, tmp_path) == mine
    monkeypatch.chdir(tmp_path)
    assert find_atlas('Mine', None, tmp_path) == mine


def test_name_is_found_in_the_cache_and_in_the_installation(tmp_path, monkeypatch):
    installed = write_atlas(tmp_path / 'installation/share/qsmbids/atlases', 'Baked')
    mine = write_atlas(tmp_path / 'mine', 'Mine')
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / 'mine'))
    assert find_atlas('Mine', None, tmp_path) == mine
    assert find_atlas('Baked', None, tmp_path) == installed
    assert find_atlas('Baked', tmp_path / 'elsewhere', tmp_path) == installed
    own = write_atlas(tmp_path / 'mine', 'Baked')
    assert find_atlas('Baked', None, tmp_path) == own


@pytest.mark.parametrize('name', ['nothing', '../mine', '.downloads', '', 'a/b'])
def test_unknown_name_says_what_there_is(tmp_path, name):
    write_atlas(tmp_path / 'mine', 'Mine')
    (tmp_path / 'mine/.downloads').mkdir()
    with pytest.raises(UnknownAtlasError, match='QSMLifespan, Mine') as caught:
        find_atlas(name, tmp_path / 'mine', tmp_path)
    assert len(str(caught.value).splitlines()) == 3


def test_misspelt_name_gets_a_hint(tmp_path):
    with pytest.raises(UnknownAtlasError, match=r'Did you mean QSMLifespanAllen\?'):
        find_atlas('QSMLifespanAlen', tmp_path, tmp_path)


def test_atlas_that_was_not_fetched_says_how(tmp_path):
    with pytest.raises(UnknownAtlasError, match='qsmbids-atlas fetch QSMLifespanAllen --atlas-c'):
        find_atlas('QSMLifespanAllen', tmp_path, tmp_path)


# ---------------------------------------------------------------------------------- list
def test_list_has_every_kind(tmp_path):
    write_atlas(tmp_path, 'Mine')
    fetched = write_atlas(tmp_path, 'Fetched')
    (fetched / SOURCE_FILE).write_text('{}')
    (write_atlas(tmp_path, 'Imported') / 'import.json').write_text('{}')
    (tmp_path / '.fetch-Half.abc').mkdir()
    (tmp_path / 'notes.txt').write_text('no atlas')
    builtin, first, imported, second = list_atlases(tmp_path)
    assert (builtin.name, builtin.kind, builtin.folder) == ('QSMLifespan', 'built-in', None)
    assert builtin.n_regions == len(label_table())
    assert (first.name, first.kind, first.folder) == ('Fetched', 'fetched', fetched)
    assert (imported.name, imported.kind) == ('Imported', 'imported')
    assert (second.name, second.kind, second.ages) == ('Mine', 'own', '10-60.5 years, 2 cohorts')
    assert (second.n_regions, second.licence, second.problem) == (1, 'CC0', '')


def test_broken_ones_are_listed_with_the_reason(tmp_path):
    write_atlas(tmp_path, 'Good')
    broken = {
        'Empty': lambda root: [p.unlink() for p in root.rglob('*') if p.is_file()],
        'NoTable': lambda root: (root / 'atlas-NoTable_dseg.tsv').unlink(),
        'NoMap': lambda root: next(root.rglob('*cohort-2_Chimap.nii.gz')).unlink(),
        'BadJson': lambda root: next(root.rglob('template_desc*')).write_text('{"cohort"'),
        'Renamed': lambda root: (root / 'tpl-Renamed').rename(root / 'tpl-Other'),
    }
    for name, damage in broken.items():
        damage(write_atlas(tmp_path, name))
    (tmp_path / 'Folder').mkdir()
    entries = {entry.name: entry for entry in list_atlases(tmp_path)}
    assert set(entries) == {'QSMLifespan', 'Good', 'Folder', *broken}
    assert {n for n, e in entries.items() if not e.problem} == {'QSMLifespan', 'Good'}
    assert 'no image _Chimap' in entries['NoMap'].problem
    assert 'JSON' in entries['BadJson'].problem
    assert 'Other' in entries['Renamed'].problem
    assert all('\n' not in entry.problem for entry in entries.values())


def test_cache_that_does_not_exist_lists_the_builtin_atlas(tmp_path):
    assert [entry.name for entry in list_atlases(tmp_path / 'nowhere')] == ['QSMLifespan']


def test_check_reads_the_images_only_when_asked(tmp_path):
    root = write_atlas(tmp_path, 'Mine')
    image = next(root.rglob('*cohort-2_Chimap.nii.gz'))
    write_image(image, np.zeros((3, 3, 3), np.float32), np.eye(4))  # another grid
    assert check_atlas(root, 'Mine', images=False).name == 'Mine'
    with pytest.raises(AtlasError, match='grid'):
        check_atlas(root, 'Mine', images=True)
    with pytest.raises(AtlasError, match='holds the atlas Mine, not Yours'):
        check_atlas(root, 'Yours', images=False)
