"""Folders in the published layout become atlases in which everything is where it was."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.atlas import importing
from qsmbids.atlas.cohorts import pick_cohort
from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import write_image
from qsmbids.atlas.import_bin import ImageAnswers
from qsmbids.atlas.import_write import sha256
from qsmbids.atlas.importing import import_atlas
from qsmbids.atlas.questions import UnansweredError
from qsmbids.cli import atlas_import


# ------------------------------------------------------------------------ what it should do
def test_every_region_keeps_value_and_place(kit, published):
    told = []
    atlas = open_atlas(kit.run(published, told=told))
    assert atlas.name == 'Mine'
    assert atlas.shares_space
    assert atlas.findings == ()
    assert [c.interval for c in atlas.cohorts] == ['[20, 30)', '[30, 40)', '[40, 50)']
    assert {b.index for b in atlas.labels} == set(sum(kit.SCHEME_A.values(), ()))
    for cohort, low in zip(atlas.cohorts, (20, 30, 40), strict=True):
        files = atlas.files(cohort.label)
        source = published / f'{low}_{low + 10}_BB_LPI.nii'
        labels = published / f'{low}_{low + 10}_atlas_label.nii.gz'
        for new, old in zip(
            kit.measure(files.chi, files.dseg), kit.measure(source, labels), strict=True
        ):
            np.testing.assert_allclose(new, old, atol=1e-5)
    sides = {b.index: b.hemisphere for b in atlas.labels}
    present, _, centres = kit.measure(files.chi, files.dseg)
    for index, centre in zip(present, centres, strict=True):
        assert (centre[0] < 0) == (sides[index] == 'L')
    assert any('LPI' in sentence for sentence in told)
    assert any('background -0.31' in sentence for sentence in told)


def test_images_are_turned_not_resampled_and_cut_to_the_brain(kit, published):
    files = open_atlas(kit.run(published)).files('1')
    chi = nib.load(files.chi)
    assert nib.aff2axcodes(chi.affine) == ('R', 'A', 'S')
    source = nib.load(published / '20_30_BB_LPI.nii')
    turned = np.asarray(source.dataobj)[::-1, ::-1, ::-1]
    brain = np.asarray(nib.load(files.mask).dataobj) > 0
    assert np.array_equal(np.asarray(chi.dataobj)[brain], turned[brain])
    assert not np.asarray(chi.dataobj)[~brain].any()
    assert np.array_equal(brain, kit.draw_brain()[::-1, ::-1, ::-1])
    t1w = np.asarray(nib.load(files.t1w).dataobj)
    assert set(np.unique(t1w)) == {0, 140}  # the skull is gone


def test_regions_are_ours_where_the_name_is_and_groups_follow(kit, published):
    labels = {b.index: b for b in open_atlas(kit.run(published)).labels}
    assert labels[301].name == 'Left Putamen'
    assert (labels[302].region, labels[302].hemisphere) == ('Putamen', 'R')
    assert labels[309].group == 'deep grey'
    assert labels[41].color != labels[301].color


def test_origin_is_written_down(kit, published):
    folder = kit.run(published)
    noted = json.loads((folder / 'import.json').read_text())
    chi = noted['Cohorts']['2']['Files']['chi']
    assert chi == {'Name': '30_40_BB_LPI.nii', 'SHA256': sha256(published / '30_40_BB_LPI.nii')}
    assert noted['Cohorts']['2']['Files']['t1w']['Name'] == 'T1w/30_40_T1w.nii.gz'
    assert noted['License'] == 'academic use'
    assert noted['Tables'][0]['SHA256'] == sha256(published / 'labels.tsv')
    assert noted['Decisions']
    assert (folder / 'LICENSE').read_text() == 'For research only.\n'
    about = json.loads((folder / 'tpl-Mine/template_description.json').read_text())
    assert (about['License'], about['CohortsShareSpace']) == ('academic use', True)
    assert not [p for p in folder.parent.iterdir() if p != folder]  # no private folder is left


def test_validator_finds_no_error(kit, published):
    beside_python = str(Path(sys.executable).parent)
    program = shutil.which(
        'bids-validator-deno', path=beside_python + os.pathsep + os.environ['PATH']
    )
    if program is None:
        pytest.skip('bids-validator-deno is not installed')
    done = subprocess.run(
        [program, '--format', 'json', str(kit.run(published))], capture_output=True, check=False
    )
    issues = json.loads(done.stdout)['issues']['issues']
    assert [i for i in issues if i['severity'] == 'error'] == []


def test_consequence_of_the_structural_templates_is_told(kit, published):
    told = []
    kit.run(published, told=told)
    assert 'a session needs a T1w image of its own' in told[0]
    for path in (published / 'T1w').iterdir():
        path.rename(published / path.name.replace('T1w', 'magnitude'))
    kit.run(published, told=(told := []), name='Other')
    assert 'every session can be registered' in told[0]
    kit.each(published, '*magnitude*', lambda p: p.unlink())
    kit.run(published, told=(told := []), name='None')
    assert 'registration will rest on susceptibility alone' in told[0]


def test_toolbox_layout_single_template_other_numbers_sides_from_position(kit, tmp_path):
    """Scheme B: one template and one label image for all ages, plain lines without sides."""
    folder = tmp_path / 'toolbox'
    folder.mkdir()
    affine = np.diag(
        (kit.SIZE, kit.SIZE, kit.SIZE, 1.0)
    )  # and no origin: x begins with 0 at a corner
    to_world = affine.copy()
    to_world[:3, 3] = -82, -114, -70
    labels, brain = kit.draw_labels(kit.SCHEME_B, to_world), kit.draw_brain(to_world)
    chi = kit.draw_chi(kit.SCHEME_B, labels, brain, 50)
    write_image(folder / 'QSM_atlas_blackbackground_MNI_1mm_v1.nii', chi, affine)
    write_image(folder / 'QSM_atlas_mask.nii.gz', brain, affine)
    write_image(folder / 'Whole_brain_segmentation_DGM.nii', labels, affine)
    lines = [f'{index} {name}' for name, pair in kit.SCHEME_B.items() for index in pair]
    (folder / 'labels.tsv').write_text('\n'.join(lines))
    given = {'ages': (20, 80)}
    text = kit.refused('lie on one side', folder, UnansweredError, options=given)
    assert '--sides from-position|from-names' in text
    told = []
    atlas = open_atlas(kit.run(folder, told=told, options=given | {'sides': 'from-position'}))
    found = {b.index: (b.region, b.hemisphere, b.name) for b in atlas.labels}
    assert found[191] == ('Caudate', 'L', 'Caudate Left')
    assert found[196] == ('GlobusPallidusExternal', 'R', 'GlobusPallidusExternal Right')
    assert any('3 labels left, 3 right' in sentence for sentence in told)
    assert not atlas.shares_space
    files = atlas.files('1')
    assert files.t1w is None
    new = kit.measure(files.chi, files.dseg)
    old = kit.measure(
        folder / 'QSM_atlas_blackbackground_MNI_1mm_v1.nii',
        folder / 'Whole_brain_segmentation_DGM.nii',
    )
    for one, other in zip(new, old, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_one_label_image_serves_all_bins_and_inclusive_ages_close_the_gaps(kit, published):
    for low in (20, 30, 40):
        labels = published / f'{low}_{low + 10}_atlas_label.nii.gz'
        labels.rename(published / 'all_labels.nii.gz')  # the last one stays
        (published / f'{low}_{low + 10}_BB_LPI.nii').rename(published / f'{low}_{low + 9}_q.nii')
        t1w = published / 'T1w' / f'{low}_{low + 10}_T1w.nii.gz'
        t1w.rename(t1w.with_name(f'{low}_{low + 9}_T1w.nii.gz'))
    kit.refused('last year belong', published, UnansweredError)
    atlas = open_atlas(kit.run(published, options={'age_end': 'inclusive'}))
    assert [c.interval for c in atlas.cohorts] == ['[20, 30)', '[30, 40)', '[40, 50)']
    assert pick_cohort(atlas.cohorts, 29.5) == (atlas.cohorts[0], '')


def test_ppb_is_divided_only_when_told(kit, published):
    means = kit.measure(published / '20_30_BB_LPI.nii', published / '20_30_atlas_label.nii.gz')[1]
    for path in published.glob('*_BB_LPI.nii'):
        kit.rewrite(path, lambda a: a * 1000)
    assert '--units ppm|ppb' in kit.refused('ppm or ppb', published, UnansweredError)
    kit.refused('cannot be ppm', published, options={'images': ImageAnswers(units='ppm')})
    atlas = open_atlas(kit.run(published, options={'images': ImageAnswers(units='ppb')}))
    files = atlas.files('1')
    np.testing.assert_allclose(kit.measure(files.chi, files.dseg)[1], means, rtol=1e-4)


def test_mapping_table_gives_regions_and_is_checked(kit, published):
    table = published / 'labels.tsv'
    table.write_text(table.read_text().replace('GlobusPallidusExternal', 'outer pallidum'))
    mapping = published.parent / 'map.csv'
    mapping.write_text('name,region\nouter pallidum,GlobusPallidusExternal\n')
    told = []
    folder = kit.run(published, told=told, options={'mapping': mapping})
    labels = {b.index: b for b in open_atlas(folder).labels}
    assert labels[309].region == 'GlobusPallidusExternal'
    assert labels[309].name == 'Left outer pallidum'
    assert 'region GlobusPallidusExternal: Left outer pallidum, Right outer pallidum' in told
    for text, match in (('outer palidum,Putamen\n', 'not in the label table'),
                        ('outer pallidum,Putmen\n', 'no mapping')):  # fmt: skip
        mapping.write_text(text)
        with pytest.raises(AtlasError, match=match):
            kit.run(published, name='Other', options={'mapping': mapping})


def test_person_at_the_terminal_is_asked_once(kit, published):
    asked = []

    def ask(question):
        asked.append(question.option)
        return {'--name': 'Asked', '--license': 'ours', '--labels': str(published / 'labels.tsv'),
                '--units': 'ppb'}.get(question.option, question.proposal)  # fmt: skip

    for path in published.glob('*_BB_LPI.nii'):
        kit.rewrite(path, lambda a: a * 1000)
    folder = import_atlas(published, published.parent / 'cache', ask=ask)
    assert folder.name == 'Asked'
    assert asked == ['--name', '--license', '--labels', '--units', '--shared-space']
    assert open_atlas(folder).shares_space


def test_an_atlas_is_replaced_only_when_told(kit, published):
    first = kit.run(published)
    with pytest.raises(AtlasError, match='already') as info:
        kit.run(published)
    assert '--replace' in str(info.value)
    assert kit.run(published, licence='new', options={'replace': True}) == first
    assert open_atlas(first).description['License'] == 'new'


def test_what_was_downloaded_is_never_replaced(kit, published):
    cache, replace = published.parent, {'replace': True}
    before = sorted(p.relative_to(cache) for p in cache.rglob('*'))
    for given, out in (
        (published, cache),
        (published / '..' / published.name, cache / 'T' / '..'),
    ):
        with pytest.raises(AtlasError, match='take the place of') as info:
            kit.run(given, out, name='download', options=replace)
        assert len(str(info.value).splitlines()) == 3
    assert sorted(p.relative_to(cache) for p in cache.rglob('*')) == before


@pytest.mark.parametrize('given', ['labels_table', 'mapping', 'licence_file', 'asked'])
def test_tables_within_the_atlas_that_is_replaced_are_kept(kit, published, given):
    first = kit.run(published)
    inside = shutil.copy(published / 'labels.tsv', first / 'mine.tsv')
    changes = {'options': {'replace': True}}
    if given in ('labels_table', 'asked'):
        changes['labels_table'] = inside
    else:
        changes['options'][given] = inside
    if given == 'asked':
        changes |= {'labels_table': None, 'ask': lambda question: str(inside)}
    with pytest.raises(AtlasError, match=r'take the place of .*mine\.tsv'):
        kit.run(published, **changes)
    assert inside.is_file()


def test_only_an_imported_atlas_is_replaced(kit, published):
    other = published.parent / 'cache' / 'Mine'
    other.mkdir(parents=True)
    (other / 'thesis.txt').write_text('years of work')
    for replace in (False, True):
        with pytest.raises(AtlasError, match='there already') as info:
            kit.run(published, options={'replace': replace})
        assert 'remove or rename it yourself' in str(info.value)
        assert 'not imported' in str(info.value)
    assert (other / 'thesis.txt').read_text() == 'years of work'


def test_interrupted_replacement_restores_the_earlier_atlas(tmp_path, monkeypatch):
    made, target, before = (tmp_path / name for name in ('made', 'target', 'before'))
    made.mkdir()
    target.mkdir()
    (target / 'old').touch()
    rename = os.replace

    def interrupted(source, destination):
        if source == made:
            raise KeyboardInterrupt
        rename(source, destination)

    monkeypatch.setattr(os, 'replace', interrupted)
    with pytest.raises(KeyboardInterrupt):
        importing._put_in_place(made, target, before)
    assert (target / 'old').exists()


def test_structural_image_that_only_some_ages_have_is_told(kit, published):
    (published / 'T1w' / '40_50_T1w.nii.gz').unlink()
    kit.run(published, told=(told := []))
    assert 'for 40_50: registration will rest on susceptibility alone' in told[0]
    assert 'not for the others' in told[0]


def test_reader_of_the_output_that_has_gone_is_no_fault_of_the_cache(monkeypatch, tmp_path):
    def gone(*args, **options):
        raise BrokenPipeError

    monkeypatch.setattr(importing, 'import_atlas', gone)
    parser = argparse.ArgumentParser()
    atlas_import.add_parser(parser.add_subparsers())
    args = parser.parse_args(['import', 'folder', '--atlas-cache', str(tmp_path)])
    with pytest.raises(BrokenPipeError):
        atlas_import.run(args)
