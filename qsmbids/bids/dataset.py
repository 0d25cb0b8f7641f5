"""The files that make the output folder a BIDS derivative dataset."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qsmbids import __version__
from qsmbids.bids.sidecars import DESCRIPTIONS
from qsmbids.bids.write import write_json, write_text

BIDS_VERSION = '1.11.1'
CODE_URL = 'https://github.com/qsmbids/qsmbids'

# patterns tried one by one against the validator: a trailing slash or a second wildcard in
# the middle would not match
_BIDSIGNORE = """\
*.html
**/figures
**/log
*_xfm.*
*_swi.*
*_minIP.*
*_desc-regions_*
*_desc-lesions_*
*_desc-veins_*
*_desc-qc_*
group_*
atlases
"""

_README = """\
# qsmbids derivatives

Quantitative susceptibility maps, relaxation maps and age-aware region tables made by qsmbids
{version} from the dataset named in `dataset_description.json`.

Open `sub-<label>.html` first: it shows the maps, says what was inferred, and lists what to
check. `sub-<label>/anat/*_Chimap.nii.gz` is the susceptibility map in ppm, referenced as its
sidecar says; `*_desc-regions_Chimap.tsv` holds the statistics of each atlas region.
"""


def prepare_dataset(output_dir: Path, bids_dir: Path) -> None:
    """Write the dataset files, unless equal ones are there (parallel jobs share a folder)."""
    output_dir.mkdir(parents=True, exist_ok=True)
    _write_if_new(output_dir / '.bidsignore', _BIDSIGNORE)
    _write_if_new(output_dir / 'README.md', _README.format(version=__version__))
    _write_if_new(output_dir / 'descriptions.tsv', _descriptions())
    description = _description(bids_dir)
    text = json.dumps(description, indent=2, ensure_ascii=False) + '\n'
    _write_if_new(output_dir / 'dataset_description.json', text)


def other_version(output_dir: Path) -> str:
    """Return the version that made an existing output folder, when it is not this one."""
    path = output_dir / 'dataset_description.json'
    try:
        made_by = json.loads(path.read_text(encoding='utf-8'))['GeneratedBy'][0]
    except (OSError, ValueError, LookupError, TypeError):
        return ''
    found = str(made_by.get('Version', ''))
    return found if found != __version__ else ''


def write_atlas_description(
    output_dir: Path, name: str, labels: Iterable[Mapping[str, Any]], description: Mapping
) -> None:
    """Write the root files that explain an atlas' label numbers, once per atlas.

    Parameters
    ----------
    labels : iterable of mapping
        With index, name and whatever columns else; all with the same keys.
    description : mapping
        Name, License and what else is known of the atlas.
    """
    rows = list(labels)
    _write_if_new(output_dir / f'atlas-{name}_dseg.tsv', to_tsv(rows, list(rows[0])))
    path = output_dir / f'atlas-{name}_description.json'
    text = json.dumps(dict(description), indent=2, ensure_ascii=False) + '\n'
    _write_if_new(path, text)


def to_tsv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    r"""Return rows as tab-separated text; missing values and NaN become ``n/a``.

    Examples
    --------
    >>> to_tsv([{'index': 1, 'mean': float('nan')}], ['index', 'mean'])
    'index\tmean\n1\tn/a\n'
    """
    out = io.StringIO()
    writer = csv.writer(out, delimiter='\t', lineterminator='\n')
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return out.getvalue()


def write_table(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[tuple[str, str, str]],
    extra: Mapping | None = None,
) -> None:
    """Write a TSV with its JSON data dictionary.

    Parameters
    ----------
    path : Path
        Ends in ``.tsv``.
    rows : sequence of mapping
        The cells, by column name.
    columns : sequence of (name, unit, description)
        In the order of the table.
    extra : mapping, optional
        Further keys of the data dictionary, e.g. the reference.
    """
    dictionary: dict[str, Any] = dict(extra or {})
    for name, unit, text in columns:
        dictionary[name] = {'Description': text} | ({'Units': unit} if unit else {})
    write_json(path.with_suffix('.json'), dictionary)
    write_text(path, to_tsv(rows, [name for name, _, _ in columns]))


def _cell(value: Any) -> str:
    if value is None or value == '' or value != value:
        return 'n/a'
    if isinstance(value, float):
        return f'{value:.6g}'
    return str(value)


def _description(bids_dir: Path) -> dict[str, Any]:
    raw: Any = {}
    with contextlib.suppress(OSError, ValueError):  # the plan has warned already
        raw = json.loads((bids_dir / 'dataset_description.json').read_text(encoding='utf-8'))
    if not isinstance(raw, dict):
        raw = {}
    made_by: dict[str, Any] = {'Name': 'qsmbids', 'Version': __version__, 'CodeURL': CODE_URL}
    tag = os.environ.get('QSMBIDS_CONTAINER_TAG')
    if tag:
        made_by['Container'] = {'Type': 'docker', 'Tag': tag}
    source = {'URL': str(raw['DatasetDOI'])} if 'DatasetDOI' in raw else {'URL': bids_dir.as_uri()}
    found = {
        'Name': f'qsmbids derivatives of {raw.get("Name", bids_dir.name)}',
        'BIDSVersion': BIDS_VERSION,
        'DatasetType': 'derivative',
        'GeneratedBy': [made_by],
        'HowToAcknowledge': 'Cite qsmbids and the works listed in the report of each participant.',
        'SourceDatasets': [source],
        'DatasetLinks': {'raw': bids_dir.as_uri()},
    }
    if raw.get('License'):
        found['License'] = raw['License']
    return found


def _descriptions() -> str:
    rows = [{'desc_id': f'desc-{k}', 'description': v} for k, v in sorted(DESCRIPTIONS.items())]
    return to_tsv(rows, ['desc_id', 'description'])


def _write_if_new(path: Path, text: str) -> None:
    try:
        if path.read_text(encoding='utf-8') == text:
            return
    except (OSError, UnicodeDecodeError):
        pass  # absent or unreadable: write it
    write_text(path, text)
