from pathlib import Path

import numpy as np

from qsmbids.plan import describe

GOLDEN = Path(__file__).with_name('golden_describe.txt')


def story(tree):
    """A dataset with something of everything."""
    tree.scan(times=(0.005, 0.010), ses='1', phase_data=tree.phase(0, 4095, np.int16), units=None)
    tree.image('sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz', tree.magnitude())
    tree.image('sub-01/ses-1/swi/sub-01_ses-1_swi.nii.gz', tree.magnitude())
    tree.scan(times=(0.005, 0.010), ses='2')
    (tree.root / 'sub-01/ses-2/anat/sub-01_ses-2_echo-2_part-mag_MEGRE.nii.gz').unlink()
    tree.scan(sub='02', parts=('mag',), metadata={})
    tree.path('sub-03/anat/x').touch()
    tree.table(
        'participants.tsv',
        [{'participant_id': 'sub-01', 'age': '89+'}, {'participant_id': 'sub-02', 'age': '20'}],
    )


def test_golden_text(tree):
    story(tree)
    text = describe(tree.plan(field_strength=3)).replace(str(tree.root), '/data')
    assert text == GOLDEN.read_text()


def test_verbose_adds_the_reasons_of_notes(tree):
    story(tree)
    plan = tree.plan(field_strength=3)
    brief, verbose = describe(plan), describe(plan, verbose=True)
    assert set(brief.splitlines()) < set(verbose.splitlines())
    assert 'Export the unfiltered phase of the same scan.' in verbose


def test_lines_are_short(tree):
    story(tree)
    assert all(len(line) <= 100 for line in describe(tree.plan()).splitlines()[1:])


def test_r2star_is_promised_for_three_echoes_only(tree):
    tree.scan()
    tree.scan(sub='02', times=(0.005, 0.010))
    tree.scan(sub='03', times=(0.005, 0.010), parts=('mag',))
    text = describe(tree.plan())
    assert 'sub-01_MEGRE: susceptibility, R2* and T2*\n' in text
    assert 'sub-02_MEGRE: susceptibility\n' in text
    assert 'sub-03_MEGRE: no map, too few echoes' in text


def test_what_is_not_known_is_said(tree):
    tree.scan(metadata={}, codes=(0, 0), phase_data=tree.phase(0, 1), units=None)
    text = describe(tree.plan())
    assert 'field strength:  not known' in text
    assert 'field direction: not known' in text
    assert 'phase:           scale not known' in text


def test_complex_and_four_dimensional(tree):
    tree.scan(times=(0.02,), suffix='T2starw', parts=('real', 'imag'), echo='')
    for part in ('mag', 'phase'):
        stem = f'sub-02/anat/sub-02_part-{part}_MEGRE'
        make = tree.magnitude if part == 'mag' else tree.phase
        tree.image(f'{stem}.nii.gz', make(shape=(8, 8, 8, 2)))
        tree.json(
            f'{stem}.json', {'EchoTime': [0.01, 0.02], 'MagneticFieldStrength': 3, 'Units': 'rad'}
        )
    text = describe(tree.plan())
    assert 'sub-01_T2starw: susceptibility\n' in text
    assert 'real and imaginary images; sign +' in text
    assert 'sub-02/anat/sub-02_part-phase_MEGRE.nii.gz (volume 2)' in text


def test_empty_dataset(tree):
    text = describe(tree.plan())
    assert '0 participants, 0 scans' in text
    assert 'ERROR: There is no sub-* folder' in text
