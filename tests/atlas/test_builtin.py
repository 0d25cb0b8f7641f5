import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from qsmbids.atlas import writer
from qsmbids.atlas.builtin import NAME, VERSION, cohort_bins, write_builtin
from qsmbids.atlas.contrast import chi_contrast
from qsmbids.atlas.geometry import label_table


def test_layout_is_that_of_bids_and_templateflow(atlas_folder):
    stem = f'tpl-{NAME}/cohort-6/tpl-{NAME}_cohort-6'
    images = ['res-1_Chimap', 'res-1_T1w', 'res-1_T2starw', 'res-1_desc-brain_mask',
              f'atlas-{NAME}_res-1_dseg']  # fmt: skip
    expected = {f'{stem}_{i}.{e}' for i in images for e in ('nii.gz', 'json')} | {
        '.bidsignore', 'README.md', 'dataset_description.json',
        f'atlas-{NAME}_description.json', f'atlas-{NAME}_dseg.tsv', f'atlas-{NAME}_dseg.json',
        f'tpl-{NAME}/template_description.json',
    }  # fmt: skip
    found = {str(p.relative_to(atlas_folder)) for p in atlas_folder.rglob('*') if p.is_file()}
    assert found == expected


def test_validator_finds_no_error(atlas_folder):
    beside_python = str(Path(sys.executable).parent)
    program = shutil.which(
        'bids-validator-deno', path=beside_python + os.pathsep + os.environ['PATH']
    )
    if program is None:
        pytest.skip('bids-validator-deno is not installed')
    done = subprocess.run(
        [program, '--format', 'json', str(atlas_folder)], capture_output=True, check=False
    )
    issues = json.loads(done.stdout)['issues']['issues']
    assert [i for i in issues if i['severity'] == 'error'] == []


def test_images_share_the_grid_and_the_declared_resolution(atlas_folder):
    images = [nib.load(p) for p in atlas_folder.rglob('*.nii.gz')]
    assert len(images) == 5
    description = json.loads(
        (atlas_folder / f'tpl-{NAME}/template_description.json').read_text('utf-8')
    )
    for image in images:
        assert list(image.shape) == description['res']['1']['shape']
        assert image.affine[:3, 3].tolist() == description['res']['1']['origin']
        assert image.header['qform_code'] == image.header['sform_code'] == 4


def test_every_sidecar_tells_where_its_numbers_come_from(atlas_folder):
    for path in atlas_folder.rglob('tpl-*.json'):
        sidecar = json.loads(path.read_text('utf-8'))
        assert sidecar['Origin']
        assert sidecar['SpatialReference'].startswith('bids::tpl-')
        assert sidecar['Resolution']
        if not path.stem.endswith(('mask', 'dseg')):
            assert sidecar['SkullStripped'] is True
    chi = next(atlas_folder.rglob('*_Chimap.json'))
    sidecar = json.loads(chi.read_text('utf-8'))
    assert 'engineering prior, not published values' in sidecar['Description']
    assert sidecar['AgeYears'] == 36
    assert sidecar['SusceptibilityReferenceValue'] == chi_contrast(36)[1]
    for name in {label.region for label in label_table()}:
        curve = sidecar['Curves'][name]
        assert curve['Formula']
        assert 'engineering prior' in curve['Origin']
    for path in atlas_folder.glob('*.md'):
        assert 'engineering prior, not published values' in path.read_text('utf-8')


def test_credit_is_given(atlas_folder):
    for name in ('README.md', f'atlas-{NAME}_description.json'):
        text = (atlas_folder / name).read_text('utf-8')
        for words in (
            'Allen Human Reference Atlas',
            '10.1002/cne.24080',
            'SCR_017764',
            'CC BY 4.0',
        ):
            assert words in text


def test_values_in_the_sidecar_are_those_of_the_image(atlas_folder):
    path = next(atlas_folder.rglob('*_Chimap.json'))
    curves = json.loads(path.read_text('utf-8'))['Curves']
    chi = nib.load(path.with_suffix('.nii.gz')).get_fdata()
    dseg = np.asarray(nib.load(next(atlas_folder.rglob('*_dseg.nii.gz'))).dataobj)
    for name, index in (('Putamen', 3), ('RedNucleus', 24), ('CorpusCallosumSplenium', 103)):
        # the core of the region, because its border is softened
        core = ndimage.binary_erosion(dseg == index, iterations=2)
        assert np.median(chi[core]) == pytest.approx(curves[name]['Value'], abs=0.002)


def test_all_age_bins_are_described_even_if_one_is_written(atlas_folder):
    description = json.loads(
        (atlas_folder / f'tpl-{NAME}/template_description.json').read_text('utf-8')
    )
    assert {k: tuple(v['age']) for k, v in description['cohort'].items()} == {
        c.label: (c.age_min, c.age_max) for c in cohort_bins()
    }


def test_templates_of_all_ages_share_one_space_and_say_so(atlas):
    assert atlas.shares_space


def test_table_says_which_regions_are_drawn(atlas_folder):
    lines = (atlas_folder / f'atlas-{NAME}_dseg.tsv').read_text('utf-8').splitlines()
    rows = [dict(zip(lines[0].split('\t'), line.split('\t'), strict=True)) for line in lines[1:]]
    for row in rows:
        assert row['curve'] == ('n/a' if row['group'] == 'ventricle' else row['region'])


def test_second_call_writes_no_image_and_another_version_does(atlas_folder, monkeypatch):
    image = next(atlas_folder.rglob('*_Chimap.nii.gz'))
    sidecar = image.with_name(image.name.replace('.nii.gz', '.json'))
    before, content = image.stat().st_mtime_ns, image.read_bytes()
    write_builtin(atlas_folder.parent, ['6'])
    assert image.stat().st_mtime_ns == before

    old = json.loads(sidecar.read_text('utf-8')) | {'AtlasVersion': '0.0.0'}
    sidecar.write_text(json.dumps(old), encoding='utf-8')
    write_builtin(atlas_folder.parent, ['6'])
    assert image.stat().st_mtime_ns > before
    assert image.read_bytes() == content  # the same images, bit by bit
    assert json.loads(sidecar.read_text('utf-8'))['AtlasVersion'] == VERSION


def test_interrupted_writing_is_completed_by_the_next_call(tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer, 'write_image', stop)
        with pytest.raises(KeyboardInterrupt):
            write_builtin(tmp_path, ['1'])
    assert not list(tmp_path.rglob('*.nii.gz'))
    folder = write_builtin(tmp_path, ['1'])
    assert len(list(folder.rglob('*.nii.gz'))) == 5
    assert not [p for p in folder.rglob('.*') if p.name != '.bidsignore']  # nothing temporary


@pytest.mark.slow
def test_two_processes_may_write_the_same_atlas(tmp_path):
    context = multiprocessing.get_context('spawn')
    with context.Pool(2) as pool:
        folders = pool.starmap(write_builtin, [(tmp_path, ['1']), (tmp_path, ['1'])])
    assert folders[0] == folders[1]
    for image in folders[0].rglob('*.nii.gz'):
        assert np.asarray(nib.load(image).dataobj).any()


def test_unknown_cohort_is_refused_with_the_choice(tmp_path):
    with pytest.raises(ValueError, match='has no cohort 77') as info:
        write_builtin(tmp_path, ['77'])
    assert '1 [1, 3)' in str(info.value)
