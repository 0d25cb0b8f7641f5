"""Options that choose methods: names, expressions, combinations that make no sense."""

import pytest

from qsmbids import methods
from qsmbids.cli.parser import parse


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'bids').mkdir()
    return [str(tmp_path / 'bids'), str(tmp_path / 'out'), 'participant']


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        parse(arguments)
    assert end.value.code == 2
    return capsys.readouterr().err


def test_defaults_are_those_of_the_catalogue(arguments):
    config = parse(arguments)
    chosen = {stage: name for stage, name in config.methods.items() if name}
    assert chosen == methods.DEFAULT_METHODS
    assert (config.mask, config.bipolar, config.contrasts) == ('', 'auto', ())


@pytest.mark.parametrize(
    ('option', 'stage'),
    [
        ('--phase-offset', 'offset'), ('--unwrapping', 'unwrapping'),
        ('--field-map', 'fieldmap'), ('--background-removal', 'background'),
        ('--inversion', 'inversion'), ('--relaxometry', 'relaxometry'),
        ('--separation', 'separation'),
    ],
)  # fmt: skip
def test_every_method_can_be_chosen(arguments, option, stage):
    for name in methods.names(stage):
        assert parse([*arguments, option, name]).methods[stage] == name


def test_stages_that_can_be_left_out(arguments):
    config = parse([*arguments, '--phase-offset', 'none', '--separation', 'none'])
    assert not config.has('offset')
    assert not config.has('separation')


def test_mask_expression_is_checked_before_anything_runs(arguments, capsys):
    assert parse([*arguments, '--mask', 'bet & quality']).mask == 'bet & quality'
    assert 'nonsense' in refused([*arguments, '--mask', 'bet & nonsense'], capsys)
    assert '--mask' in refused([*arguments, '--mask', 'erode(bet)'], capsys)


def test_parameter_of_one_of_several_masks(arguments, capsys):
    overridden = [*arguments, '--mask', 'bet & threshold', '--param']
    config = parse([*overridden, 'mask.fractional_intensity=0.5'])
    assert config.parameters('mask', 'bet')['fractional_intensity'] == 0.5
    assert 'fractional_intensity' not in config.parameters('mask', 'threshold')
    said = refused([*arguments, '--mask', 'threshold', '--param',
                    'mask.fractional_intensity=0.5'], capsys)  # fmt: skip
    assert 'fractional_intensity' in said


def test_bad_value_is_refused(arguments, capsys):
    said = refused([*arguments, '--inversion', 'rts', '--param', 'inversion.threshold=2'], capsys)
    assert 'threshold' in said


@pytest.mark.parametrize(
    ('parameter', 'without', 'wanted'),
    [
        ('separation.r2prime_share=0.3', [], ['--separation', 'chisep']),
        ('offset.sigma_mm=8', ['--phase-offset', 'none'], []),
        ('cosmos.regularisation=0.1', [], ['--cosmos']),
        ('bipolar.sigma_mm=8', ['--bipolar', 'off'], []),
        ('contrast.power=3', [], ['--contrast', 'swi']),
    ],
)
def test_parameter_of_a_stage_that_is_left_out(arguments, capsys, parameter, without, wanted):
    stage = parameter.partition('.')[0]
    said = refused([*arguments, *without, '--param', parameter], capsys)
    assert f'the stage {stage} is not part of this run' in said
    assert stage in parse([*arguments, *wanted, '--param', parameter]).params


def test_the_example_of_the_help_works(arguments):
    from qsmbids.cli.parser import build_parser

    help_text = ' '.join(build_parser().format_help().split())
    example = help_text.partition('chosen methods, e.g. ')[2].partition(';')[0]
    assert parse([*arguments, '--param', example]).params['inversion']


def test_two_passes_need_a_local_field(arguments, capsys):
    assert parse([*arguments, '--inversion', 'rts', '--two-pass']).two_pass
    said = refused([*arguments, '--inversion', 'sstv', '--two-pass'], capsys)
    assert 'local field' in said
    for name in ('rts', 'tv', 'hdqsm'):
        assert name in said
        assert parse([*arguments, '--inversion', name, '--two-pass']).two_pass


def test_contrasts(arguments):
    assert parse([*arguments, '--contrast', 'swi', 'smwi', 'swi']).contrasts == ('swi', 'smwi')
