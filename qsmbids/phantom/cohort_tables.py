"""A simulated lifespan cohort at table level: the tables of a run, without images.

For what comes after the participant level (curves, norms, questions about people) no image is
needed: what is written here is what that level writes at table level, so hundreds of people take
seconds. How their numbers come about says :mod:`qsmbids.phantom.cohort_people`.
"""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from qsmbids import __version__
from qsmbids.atlas.cohorts import pick_cohort
from qsmbids.atlas.writer import cohort_bins
from qsmbids.bids.dataset import prepare_dataset, write_atlas_description
from qsmbids.bids.names import output_names, record_path, report_path, sidecar
from qsmbids.phantom.cohort_cells import RegionTableWriter
from qsmbids.phantom.cohort_files import (
    PAGE,
    RUN_ID,
    chi_sidecar,
    dataset_files,
    json_text,
    qc_table,
    records,
    region_dictionary,
    session_table,
)
from qsmbids.phantom.cohort_people import (
    NOISE_PPM,
    OFFSETS,
    SIDE_SHARE,
    Truth,
    atlas_regions,
    atrophy,
    draw_people,
    draw_truth,
    spread,
)

ATLAS = 'QSMLifespan'


def write_cohort_tables(
    folder: str | os.PathLike[str],
    n: int,
    *,
    seed: int = 1,
    ages: tuple[float, float] = (1.0, 83.0),
    sessions: int = 1,
    patients: float = 0.0,
    sites: int = 1,
    n_extra_regions: int = 0,
    reference: str = 'whole-brain',
    field_strength_t: float = 3.0,
) -> Truth:
    """Write ``folder/bids`` (tables only) and ``folder/derivatives/qsmbids``.

    Parameters
    ----------
    folder : path
        Neither of the two folders in it may exist. They appear when all is written.
    n : int
        Number of people.
    seed : int
        Equal arguments give equal files.
    ages : (float, float), years
        Youngest and oldest at the first visit, uniform between.
    sessions : int
        Visits, two years apart or so; with one there is no session entity.
    patients : float, 0 to 1
        Share of people with more susceptibility in the substantia nigra, which also grows
        faster.
    sites : int
        Scanners, each with its own small shift of every region.
    n_extra_regions : int
        Rows that a table has beyond those of the built-in atlas.
    reference : str
        ``whole-brain`` or ``csf``.
    field_strength_t : float, tesla
        Said in the sidecars; without effect on the numbers.

    Returns
    -------
    Truth
        Curves and values that generated the tables.

    Raises
    ------
    ValueError
        If an argument makes no sense or a folder exists.
    """
    folder = Path(folder)
    _check(folder, n, ages, sessions, patients, sites, reference)
    rng = np.random.default_rng(seed)
    labels, curves, volumes = atlas_regions(n_extra_regions)
    people = draw_people(rng, n, ages=ages, sessions=sessions, patients=patients, sites=sites)
    truth = draw_truth(rng, people, labels, curves, reference)
    (folder / 'derivatives').mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix='.cohort-', dir=folder))
    try:
        bids, out = work / 'bids', work / 'qsmbids'
        _write_dataset(bids, out, folder / 'bids', truth)
        _Writer(out, bids, truth, volumes, rng, field_strength_t).write()
        out.rename(folder / 'derivatives' / 'qsmbids')
        bids.rename(folder / 'bids')
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return truth


def _check(
    folder: Path, n: int, ages: tuple[float, float], sessions: int, patients: float, sites: int,
    reference: str,
) -> None:  # fmt: skip
    for path in (folder / 'bids', folder / 'derivatives' / 'qsmbids'):
        if path.exists():
            raise ValueError(
                f'{path} exists.\nA simulated cohort is never mixed with other files.\n'
                'Name a new folder, or remove this one first.'
            )
    possible = n >= 1 and sessions >= 1 and 1 <= sites <= 26 and 0 <= patients <= 1
    if not (possible and 0 <= ages[0] <= ages[1] <= 100 and reference in OFFSETS):
        raise ValueError(
            f'a cohort of {n} people of {ages[0]:g} to {ages[1]:g} years, {sessions} sessions, '
            f'{patients:g} patients, {sites} sites and reference {reference!r} cannot be made.\n'
            'Ages lie between 0 and 100 years, the share of patients between 0 and 1, sites '
            f'between 1 and 26; references are {", ".join(OFFSETS)}.\nCorrect the numbers.'
        )


def _write_dataset(bids: Path, out: Path, final: Path, truth: Truth) -> None:
    for name, text in dataset_files(truth).items():
        _write(bids / name, text)
    prepare_dataset(out, bids)
    path = out / 'dataset_description.json'
    text = path.read_text(encoding='utf-8')  # names the folder in which it was made
    path.write_text(text.replace(bids.as_uri(), final.resolve().as_uri()), encoding='utf-8')
    rows = [
        {'index': x.index, 'name': x.name, 'abbreviation': x.abbreviation,
         'hemisphere': x.hemisphere, 'group': x.group, 'color': x.color, 'region': x.region}
        for x in truth.labels
    ]  # fmt: skip
    about = {'Name': ATLAS, 'License': 'CC BY 4.0', 'BIDSVersion': '1.11.1'}
    write_atlas_description(out, ATLAS, rows, about)


class _Writer:
    """Writes the files of all people."""

    def __init__(
        self, out: Path, bids: Path, truth: Truth, volumes: dict[str, float],
        rng: np.random.Generator, field_strength_t: float,
    ) -> None:  # fmt: skip
        self.out, self.bids, self.truth, self.rng = out, bids, truth, rng
        self.field_strength_t = field_strength_t
        self.table = RegionTableWriter(truth.labels, truth.reference)
        self.column = np.array([truth.regions.index(x.region) for x in truth.labels])
        signs = {'L': -1.0, 'R': 1.0, 'B': 0.0}
        self.sign = np.array([signs[x.hemisphere] for x in truth.labels])
        self.volume = np.array([volumes[x.region] for x in truth.labels])
        self.groups = {x.region: x.group for x in truth.labels}
        self.dictionary = region_dictionary(truth.reference)
        self.bins = cohort_bins()

    def write(self) -> None:
        """Write everything of everybody."""
        people = self.truth.people
        n, sessions = people.age.shape
        start = datetime.datetime(2015, 1, 1, 9)
        days = self.rng.integers(0, 700, n)
        size = 1 + 0.08 * self.rng.standard_normal(n)
        own_size = 1 + 0.05 * self.rng.standard_normal((n, len(self.volume)))
        for i, label in enumerate(people.labels):
            half = SIDE_SHARE * self.rng.standard_normal(len(self.truth.regions))
            visits = []
            for s in range(sessions):
                years = people.age[i, s] - people.age[i, 0]
                time = start + datetime.timedelta(days=round(days[i] + 365.25 * years))
                entities = [('sub', label)] + [('ses', str(s + 1))] * (sessions > 1)
                volume = self.volume * size[i] * own_size[i] * atrophy(people.age[i, s])
                self._write_scan(entities, i, s, half, volume)
                visits.append((f'ses-{s + 1}', time.isoformat(), people.age[i, s]))
            keys = ['_'.join(['sub-' + label, v[0]]) for v in visits]
            self._write_person(label, keys if sessions > 1 else [f'sub-{label}'])
            if sessions > 1:
                for name, text in session_table(visits).items():
                    _write(self.bids / f'sub-{label}' / f'sub-{label}_{name}', text)

    def _write_scan(
        self, entities: list[tuple[str, str]], i: int, s: int, half: np.ndarray,
        volume: np.ndarray,
    ) -> None:  # fmt: skip
        truth, age = self.truth, float(self.truth.people.age[i, s])
        usual = np.array([truth.mean(r, age) for r in truth.regions])
        sd = np.array([spread(r, g, age) for r, g in self.groups.items()])
        noise = NOISE_PPM * self.rng.standard_normal(len(truth.labels))
        mean = truth.chi[i, s][self.column] + self.sign * (half * sd)[self.column] + noise
        value = 0.0005 * float(self.rng.standard_normal())
        c = self.column
        names = output_names(entities, relaxation=False, atlas=ATLAS)
        table = names['regions_chi']
        _write(self.out / table, self.table.text(mean, volume, usual[c], sd[c], value))
        _write(self.out / sidecar(table), self.dictionary)
        reference = {
            'region': truth.reference, 'value_ppm': value, 'n_voxels': 1_200_000,
            'whole_brain_mean_ppm': 0.0, 'whole_brain_sd_ppm': 0.016,
        }  # fmt: skip
        content = chi_sidecar(age, reference, self.field_strength_t)
        _write(self.out / sidecar(names['chi']), json_text(content))
        for name, text in qc_table(self.rng).items():
            _write(self.out / names['qc'].replace('.tsv', name), text)
        key = '_'.join(f'{k}-{v}' for k, v in entities)
        cohort, note = pick_cohort(self.bins, age)
        atlas = {
            'name': ATLAS, 'cohort': cohort.label, 'cohort_name': cohort.name,
            'age_range': [cohort.age_min, cohort.age_max], 'note': note, 'builtin': True,
            'curve_offset_ppm': truth.offset_ppm,
        }  # fmt: skip
        for part, record in records(key, names, atlas, reference).items():
            _write(self.out / record_path(entities[0][1], key, part), json_text(record))

    def _write_person(self, label: str, keys: list[str]) -> None:
        status = {
            'command': 'qsmbids-demo --cohort',
            'acquisitions': {key: {'status': 'complete', 'message': ''} for key in keys},
            'issues': [],
        }
        path = self.out / f'sub-{label}' / 'log' / RUN_ID / 'status.json'
        _write(path, json_text(status))
        _write(self.out / report_path(label), PAGE.format(label=label, version=__version__))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding='utf-8')
    except FileNotFoundError:  # the first file of a folder
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
