"""Tables of answers on the group page (order, lead, headings), and packed values."""

import numpy as np
import pandas as pd
import pytest

from qsmbids.group.page_data import MISSING, PPM_STEP, pack, unpack
from qsmbids.group.page_headings import heading_words
from qsmbids.group.page_leads import lead_sentence
from qsmbids.group.page_tables import analysis_table
from qsmbids.group.view import Analysis

SCANS = pd.DataFrame({
    'key': ['sub-1', 'sub-2', 'sub-3'], 'participant_id': ['sub-1', 'sub-2', 'sub-3'],
    'page': ['sub-1.html', 'sub-2.html', 'sub-3.html'],
})  # fmt: skip


def coefficients():
    rows = [
        ('WholeBrain', 'diagnosis', np.nan, np.nan, np.nan, np.nan, np.nan),
        ('Caudate', 'constant', 0.05, 0.04, 0.06, 1e-9, 1e-9),
        ('Caudate', 'diagnosis', 0.001, -0.002, 0.004, 0.5, 0.6),
        ('SubstantiaNigra', 'diagnosis', 0.0441, 0.0379, 0.0502, 1e-8, 1e-7),
        ('Caudate', 'age', 0.00044, 0.0003, 0.00058, 1e-5, 2e-5),
    ]
    names = ['region', 'term', 'estimate', 'low', 'high', 'p', 'q']
    frame = pd.DataFrame(rows, columns=names)
    frame.insert(1, 'hemisphere', 'B')
    frame.insert(2, 'group', 'deep grey')
    frame['reference_group'] = ['', '', 'control', 'control', '']
    units = dict.fromkeys(('estimate', 'low', 'high'), 'ppm')
    return frame, [(name, units.get(name, ''), '') for name in frame.columns]


def test_analyses_start_with_what_was_found():
    frame, columns = coefficients()
    table = analysis_table(Analysis('a', '', frame, columns), SCANS)
    names = [heading['name'] for heading in table['headings']]
    assert names == ['Region', 'Term', 'Estimate', 'lower', 'upper', 'q (FDR)', 'p',
                     'Reference group']  # fmt: skip
    assert [(row[0]['text'], row[1]['text']) for row in table['rows']] == [
        ('Substantia nigra', 'diagnosis'), ('Caudate', 'age'), ('Caudate', 'diagnosis'),
    ]  # fmt: skip
    assert table['lead'] == (
        'diagnosis: 1 of 2 regions with q < 0.05: Substantia nigra 0.044 ppm (0.038 to 0.050).\n'
        'age: 1 of 1 region with q < 0.05: Caudate 0.00044 ppm per year (0.00030 to 0.00058).'
    )
    assert len(frame) == 5  # the table on disk is written from it
    terms = frame[['region', 'term', 'p', 'q']].assign(f=3.0, df=9, partial_eta2=0.5)
    terms['partial_eta2_high'] = 0.6
    table = analysis_table(Analysis('a', '', terms), SCANS)
    assert [heading['name'] for heading in table['headings']][2:] == [
        'Partial η²', 'Partial η², upper', 'q (FDR)', 'F', 'degrees of freedom', 'p',
    ]  # fmt: skip
    sides = frame.assign(hemisphere=['B', 'B', 'L', 'R', 'B'])
    table = analysis_table(Analysis('a', '', sides, columns), SCANS)
    assert table['headings'][1]['name'] == 'Hemisphere'
    assert 'Substantia nigra, right 0.044' in table['lead']


def test_leads_of_scores_roc_and_changes():
    score = pd.DataFrame({
        'region': ['Caudate', 'RedNucleus'], 'score': 'updrs', 'pearson': [0.1, -0.5],
        'pearson_low': [-0.1, -0.6], 'pearson_high': [0.3, -0.3], 'pearson_p': [0.3, 0.001],
        'pearson_q': [0.3, 0.002],
    })  # fmt: skip
    assert lead_sentence(score, ()) == (
        'updrs, Pearson: 1 of 2 regions with q < 0.05: Red nucleus r = −0.500 (−0.600 to −0.300).'
    )
    roc = pd.DataFrame({
        'region': ['Caudate', 'RedNucleus', 'Pons'], 'auc': [0.7, 0.1, np.nan],
        'auc_low': [0.5, 0.05, np.nan], 'auc_high': [0.8, 0.2, np.nan],
        'p': [0.04, 0.001, np.nan], 'q': [0.06, 0.002, np.nan],
    })  # fmt: skip
    table = analysis_table(Analysis('a', '', roc), SCANS)
    assert table['lead'] == (
        'Best AUC: Red nucleus 0.10 (0.05 to 0.20); 1 of 2 regions with q < 0.05.'
    )
    assert [row[0]['text'] for row in table['rows']] == ['Red nucleus', 'Caudate']
    change = pd.DataFrame({
        'participant_id': ['sub-1', 'sub-2', 'sub-3'], 'region': 'Caudate',
        'change': [1.0, 20, 60], 'z': [0.1, 2.1, 6.0], 'p': [0.9, 0.04, 1e-6],
        'exceeds': ['no', 'yes', 'yes'], 'exceeds_fdr': ['no', 'no', 'yes'],
    })  # fmt: skip
    table = analysis_table(Analysis('a', '', change), SCANS)
    assert table['lead'].startswith('1 of 3 changes exceed what noise and')
    assert table['lead'].endswith('(FDR); 2 without it.')
    assert [row[0]['text'] for row in table['rows']] == ['sub-3', 'sub-2', 'sub-1']
    assert lead_sentence(pd.DataFrame({'key': ['sub-1'], 'snr': [2.0]}), ()) == ''


@pytest.mark.parametrize(
    ('name', 'unit', 'words'),
    [
        ('q', '', 'q (FDR)'), ('p_fdr', '', 'q (FDR)'), ('auc', '', 'AUC'),
        ('low', 'ppm', 'lower'), ('auc_high', '', 'AUC, upper'), ('df', '', 'degrees of freedom'),
        ('partial_eta2_low', '', 'Partial η², lower'), ('chi_sd_ppb', '', 'χ SD (ppb)'),
        ('high_mean_q', '', 'Mean of the high part, q (FDR)'), ('<b>', '', '<b>'),
    ],
)  # fmt: skip
def test_headings_are_words(name, unit, words):
    assert heading_words(name, unit) == words


def test_packing_widens_its_step_for_large_values():
    values = np.array([[0.00012, np.nan], [-7.5, 0.2]])
    packed = pack(values, PPM_STEP)
    assert packed['step'] == 1e-3
    back = unpack(packed, (2, 2))
    assert back[1].tolist() == pytest.approx([-7.5, 0.2])
    assert np.isnan(back[0, 1])
    edge = np.array([-MISSING - 1]) * PPM_STEP
    assert pack(edge, PPM_STEP)['step'] == PPM_STEP
    assert pack(np.full(3, np.nan), PPM_STEP)['step'] == PPM_STEP
