"""``qsmbids-atlas build``: who goes where, and messages before anything heavy is started."""

import argparse
import json

import pytest

from qsmbids.atlas.errors import AtlasError
from qsmbids.cli import atlas_build

NAMES = ('Chimap', 'desc-rss_T2starw', 'desc-brain_mask', 'desc-qsm_mask')


@pytest.fixture
def run():
    parser = argparse.ArgumentParser()
    atlas_build.add_parser(parser.add_subparsers())

    def run(*argv):
        args = parser.parse_args(['build', *map(str, argv)])
        return args.run(args)

    return run


@pytest.fixture
def maps(tmp_path):
    """Empty files of five people; images are not read for a dry run."""
    for number, age in enumerate((9.0, 10.0, 11.0, 70.0, None), start=1):
        folder = tmp_path / 'out' / f'sub-0{number}' / 'anat'
        folder.mkdir(parents=True)
        for name in NAMES:
            (folder / f'sub-0{number}_{name}.nii.gz').touch()
        sidecar = {} if age is None else {'AgeYears': age}
        (folder / f'sub-0{number}_Chimap.json').write_text(json.dumps(sidecar))
    return tmp_path / 'out'


def test_dry_run_says_who_goes_where_and_writes_nothing(maps, run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob('*'))
    assert run(maps, '--name', 'Mine', '--license', 'CC0', '--bins', 5, 20, 84, '--min-n', 1,
               '--dry-run') == 0  # fmt: skip
    told = capsys.readouterr().out
    assert 'cohort 1, [5, 20) years: 3 people' in told
    assert 'cohort 2, [20, 84) years: 1 people' in told
    assert 'sub-05 is left out: its age is unknown' in told
    assert sorted(tmp_path.rglob('*')) == before


def test_default_bins_are_those_of_the_built_in_atlas(maps, run, capsys):
    assert run(maps, '--name', 'Mine', '--license', 'CC0', '--dry-run') == 0
    told = capsys.readouterr().out
    assert 'cohort 1, [6, 21) years: 3 people' in told  # [6, 11) and [11, 21) joined
    assert 'left out (sub-04)' in told


def test_name_and_licence_are_asked_for(maps, run, capsys):
    with pytest.raises(SystemExit):
        run(maps, '--name', 'Mine')
    assert '--license' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--name', 'My-Atlas'), 'cannot be the name'),
        (('--name', 'Mine', '--bins', 20, 5), 'are no bins'),
        (('--name', 'Mine', '--bins', 20, 60), 'no age group'),
        (('--name', 'Mine', '--iterations', 0), 'must be above zero'),
        (('--name', 'Mine', '--labels-from', 'NoSuchAtlas'), 'NoSuchAtlas'),
    ],
)
def test_mistakes_are_told_in_three_lines_before_anything_runs(
    maps, run, tmp_path, options, message
):
    with pytest.raises(AtlasError, match=message) as info:
        run(
            maps, '--license', 'CC0', '-o', tmp_path / 'atlases', '-w', tmp_path / 'work', *options
        )
    assert len(str(info.value).splitlines()) == 3
    assert not (tmp_path / 'atlases').exists()


def test_an_atlas_of_that_name_is_kept(maps, run, tmp_path):
    (tmp_path / 'atlases' / 'Mine').mkdir(parents=True)
    with pytest.raises(AtlasError, match='exists'):
        run(maps, '--license', 'CC0', '--name', 'Mine', '-o', tmp_path / 'atlases', '-w',
            tmp_path / 'work')  # fmt: skip
