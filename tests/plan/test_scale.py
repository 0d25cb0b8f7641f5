"""Planning must stay quick for thousands; the dataset is that of ``benchmarks/plan_scale.py``."""

import collections
import importlib.util
import json
import tracemalloc
from pathlib import Path

import pytest

from qsmbids.plan import describe, make_plan
from qsmbids.plan.image_memory import ImageMemory

BENCHMARK = Path(__file__).parents[2] / 'benchmarks' / 'plan_scale.py'


@pytest.fixture(scope='module')
def write_dataset():
    if not BENCHMARK.is_file():
        pytest.skip('benchmarks/ is not at hand')
    spec = importlib.util.spec_from_file_location('plan_scale', BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_dataset


@pytest.fixture(scope='module')
def hundred(tmp_path_factory, write_dataset):
    root = tmp_path_factory.mktemp('scale') / 'bids'
    write_dataset(root, 100)
    return root


def test_every_file_is_opened_a_few_times_at_most(hundred, monkeypatch):
    """However many people there are: a table that each of them reads again would be seen."""
    opened = collections.Counter()
    for name in ('read_bytes', 'open'):
        plain = getattr(Path, name)

        def count(self, *args, plain=plain, **options):
            opened[self] += 1
            return plain(self, *args, **options)

        monkeypatch.setattr(Path, name, count)
    plan = make_plan(hundred)
    assert len(plan.participants) == 100
    assert len(opened) > 1000
    assert max(opened.values()) <= 4, opened.most_common(5)


def test_threads_change_nothing(hundred, tmp_path):
    plans, learned = [], []
    for threads in (1, 4):
        files = {}
        memory = ImageMemory(lambda label: tmp_path / label, files.__setitem__)
        plans.append(describe(make_plan(hundred, threads=threads, memory=memory)))
        learned.append(json.dumps({str(path): content for path, content in files.items()}))
    assert plans[0] == plans[1]
    assert learned[0] == learned[1], 'also in the order of what is written'
    assert len(files) > 90


def test_memory_grows_little_with_each_person(hundred):
    def peak(n):
        tracemalloc.start()
        try:
            make_plan(hundred, participant_labels=[f'{i + 1:04d}' for i in range(n)])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # imports
    assert (peak(15) - peak(5)) / 10 < 50e3  # bytes each: 2,000 in 0.1 GB


def test_a_broken_sidecar_and_a_lost_image_stop_nobody_else(hundred):
    plan = make_plan(hundred)
    assert plan.failed == ('0003', '0005')
    assert len(plan.acquisitions) == 98


def test_one_of_many_opens_no_file_of_another(hundred, monkeypatch):
    opened = []
    read_bytes, open_path = Path.read_bytes, Path.open
    monkeypatch.setattr(Path, 'read_bytes', lambda self: opened.append(self) or read_bytes(self))
    monkeypatch.setattr(
        Path, 'open', lambda self, *a, **k: opened.append(self) or open_path(self, *a, **k)
    )
    make_plan(hundred, participant_labels=['0042'])
    people = {part for path in opened for part in path.parts if part.startswith('sub-')}
    assert {name[:8] for name in people} == {'sub-0042'}


def test_the_text_of_many_fits_on_a_page_or_two(hundred):
    text = describe(make_plan(hundred))
    assert len(text.splitlines()) < 60
    assert max(map(len, text.splitlines()[1:])) <= 100
    assert '3. 10 scans: sub-0091, sub-0092, sub-0093 and 7 more' in text
    assert 'sub-0003_echo-2_part-phase_MEGRE.json cannot be read' in text
