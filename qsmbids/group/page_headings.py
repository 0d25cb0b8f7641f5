"""Headings of tables: the names of columns in the words of people."""

from __future__ import annotations

_WHOLE = {
    'key': 'Acquisition', 'participant_id': 'Participant', 'session_id': 'Session',
    'session_1': 'Earlier session', 'session_2': 'Later session',
    'p': 'p', 'q': 'q (FDR)', 'p_fdr': 'q (FDR)', 'exceeds_fdr': 'Exceeds (FDR)',
    'z': 'z', 't': 't', 'f': 'F', 'n': 'n', 'n_people': 'people', 'n_visits': 'visits',
    'n_case': 'n (cases)', 'n_control': 'n (controls)', 'n_partial': 'n (partial)',
    'df': 'degrees of freedom', 'df_term': 'degrees of freedom (term)',
    'low': 'lower', 'high': 'upper', 'se': 'standard error', 'sd': 'SD', 'effect': 'effect size',
    'effect_kind': 'kind of effect size', 'chi': 'χ', 'percent': 'Change',
}  # fmt: skip
_START = {
    'high_mean': 'mean of the high part', 'high_volume_mm3': 'volume of the high part',
    'volume_mm3': 'volume', 'effect': 'effect size',
}  # fmt: skip
_END = {'low': 'lower', 'high': 'upper', 'q': 'q (FDR)', 'fdr': 'q (FDR)'}
_WORDS = {
    'auc': 'AUC', 'eta2': 'η²', 'pearson': 'Pearson', 'spearman': 'Spearman', 'sd': 'SD',
    'youden': 'Youden', 'cv': '(cross-validated)', 'chi': 'χ', 'fov': 'FOV', 'snr': 'SNR',
    'r2star': 'R2*', 'hz': '(Hz)', 'ppb': '(ppb)', 'ml': '(ml)',
}  # fmt: skip
_UNITS = {'year': 'years'}
_KEEP = frozenset(('p', 'q', 'n', 'z'))


def heading_words(name: str, unit: str = '') -> str:
    """Return the heading of a column.

    Examples
    --------
    >>> heading_words('q'), heading_words('auc_low'), heading_words('partial_eta2')
    ('q (FDR)', 'AUC, lower', 'Partial η²')
    >>> heading_words('volume_mm3_high', 'mm^3'), heading_words('mean_q')
    ('Volume, upper', 'Mean, q (FDR)')
    """
    if name in _WHOLE:
        return _WHOLE[name]
    rest, end = name, ''
    head, _, last = name.rpartition('_')
    if head and last in _END:
        rest, end = head.removesuffix('_p') if last == 'fdr' else head, _END[last]
    elif head and last in _KEEP:
        rest, end = head, last
    elif unit:
        rest = name if name in _START else _without_unit(name, unit)
    start = next((s for s in _START if rest == s or rest.startswith(f'{s}_')), '')
    parts = [_START[start]] if start else []
    more = rest.removeprefix(start).strip('_') if start else rest
    if more:
        words = [_WORDS.get(word.lower(), word) for word in more.split('_')]
        parts.append(' '.join(words))
    text = ', '.join([*parts, *([end] if end else [])])
    return text[:1].upper() + text[1:] if not text.startswith('χ') else text


def unit_words(unit: str) -> str:
    """Return a unit as it is written.

    Examples
    --------
    >>> unit_words('ppm*mm^3'), unit_words('year')
    ('ppm·mm³', 'years')
    """
    return _UNITS.get(unit, unit.replace('^3', '³').replace('^2', '²').replace('*', '·'))


def _without_unit(name: str, unit: str) -> str:
    head, _, last = name.rpartition('_')
    return head if head and last.lower() == unit.lower() else name
