"""``qsmbids-step`` refuses what it cannot do in three lines, and never destroys a file."""

import json
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids import methods
from qsmbids.cli import exit_codes, step_outputs
from qsmbids.cli.step import main
from qsmbids.cli.step_arguments import ARGUMENTS, usable_options
from qsmbids.cli.step_verbs import INPUTS, VERBS
from qsmbids.methods import Method

HEAVY = {'ants', 'matplotlib', 'nibabel', 'nilearn', 'nipype', 'numba', 'numpy', 'pandas', 'scipy'}
FIELD = ('--field', 'field.nii.gz', '--mask', 'mask.nii.gz', '--field-strength', '3')
TKD = ('invert', 'tkd', *FIELD)
ECHOES = ('--phase', 'phase.nii.gz', '--magnitude', 'magnitude.nii.gz', '--mask', 'mask.nii.gz')
TIMES = ('--echo-times', '0.004', '0.010', '0.016', '0.022')
OUT = ('--out', 'out.nii.gz')


def refused(sphere, capsys, code, *argv) -> str:
    """Run a command that must fail; return what it said, which must be short."""
    before = {p: p.stat().st_mtime_ns for p in sphere.folder.rglob('*')}
    try:
        found = sphere.run(*argv)
    except SystemExit as end:  # argparse
        found = end.code
    said = capsys.readouterr().err
    assert found == code, said
    assert 'Traceback' not in said
    assert len(said.strip().splitlines()) >= 3
    after = {p: p.stat().st_mtime_ns for p in sphere.folder.rglob('*')}
    assert after == before, 'something was written'
    return said


# -------------------------------------------------------------------------------- catalogue
@pytest.mark.parametrize('verb', VERBS.values(), ids=lambda v: v.name)
def test_every_method_of_the_catalogue_can_be_called(verb):
    """What the function of an entry asks for is known, and its verb has the files for it."""
    for method in verb.methods():
        usable_options(verb, method)
        signature = step_signature(method)
        for i, name in enumerate(signature):
            argument = ARGUMENTS.get(verb.first if verb.first and i == 0 else name)
            assert argument, f'{method.name} asks for {name}'
            assert any(way <= set(verb.inputs) for way in argument.options), name


def step_signature(method) -> list[str]:
    """Return the parameters that a call fills in: required ones, and those it makes use of."""
    import inspect

    return [
        name
        for name, parameter in inspect.signature(method.load()).parameters.items()
        if name not in ('parameters', 'progress')
        and (parameter.default is parameter.empty or name in method.takes)
    ]


def test_every_stage_has_a_verb():
    assert set(methods.STAGES) <= {verb.stage for verb in VERBS.values()}


def test_list_shows_what_the_catalogue_says(capsys):
    assert main(['--list']) == 0
    text = capsys.readouterr().out
    for verb in VERBS.values():
        assert f'{verb.name}: ' in text
        for method in verb.methods():
            assert method.summary in text
            assert all(f'{name}=' in text for name in method.parameter_names())


@pytest.mark.parametrize('argv', [[], ['invert'], ['mask']])
def test_help_is_quick_to_load(argv):
    program = (
        'import sys\n'
        'from qsmbids.cli.step import main\n'
        'try:\n'
        f'    main([*{argv!r}, "--help"])\n'
        'except SystemExit as end:\n'
        '    assert not end.code, end.code\n'
        f'print("heavy:", *sorted({HEAVY!r} & set(sys.modules)))\n'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('heavy:\n'), done.stdout.splitlines()[-1]
    if argv == ['invert']:
        for name in methods.names('inversion'):
            assert methods.get('inversion', name).summary in done.stdout


# ------------------------------------------------------------------------------ command line
@pytest.mark.parametrize(
    ('argv', 'words'),
    [
        ((), 'No verb'),
        (('invert', *FIELD, *OUT), 'needs a method'),
        (('invert', 'magic', *FIELD, *OUT), 'rts'),
        (('nothing',), 'invert'),
        (TKD, '--out'),
        ((*TKD, *OUT, '--param', 'nothing=1'), 'threshold'),
        ((*TKD, *OUT, '--param', 'threshold=much'), 'threshold'),
        ((*TKD, *OUT, '--param', 'threshold'), 'NAME=VALUE'),
        ((*TKD, *OUT, '--noise', 'noise.nii.gz'), 'does not use --noise'),
        (('mask', 'bet', '--magnitude', 'phase-1.nii.gz', *FIELD[2:4], *OUT), 'use --mask'),
        (('invert', 'tkd', '--field', 'field.nii.gz', *OUT), 'needs --mask'),
        (('invert', 'tkd', '--field', 'no.nii.gz', *OUT), 'no file no.nii.gz'),
        ((*TKD, *OUT, '--threads', '0'), '--threads'),
        ((*TKD, *OUT, '--field-strength', '3000'), 'tesla'),
        ((*TKD, *OUT, '--b0-dir', '0', '0', '0'), 'no direction'),
        ((*TKD, *OUT, '--b0-dir', '0', '1'), 'no direction'),
        ((*TKD, '--out', 'chi.img'), '.nii'),
        ((*TKD, '--out', 'nowhere/chi.nii'), 'does not exist'),
        ((*TKD, '--out', 'field.nii'), 'an input'),
        ((*TKD, '--out', 'a.nii', '--out-mask', 'a.nii.gz'), 'another output'),
        ((*TKD, *OUT, '--colour', 'red'), '--colour'),
        ((*TKD, *OUT, '--sidecar', 'mask.nii.gz'), 'not JSON'),
        (('unwrap', 'romeo', '--phase', 'phase-1.nii.gz', 'phase-1.nii.gz', *OUT), 'twice'),
        (('mask', 'quality', '--magnitude', 'magnitude.nii.gz', *OUT), '--quality'),
        (('mask', 'threshold &', '--magnitude', 'magnitude.nii.gz', *OUT), 'threshold &'),
        (('mask', 'user', '--magnitude', 'magnitude.nii.gz', *OUT), '--mask'),
        (('mask', 'user', '--mask', 'mask.nii.gz', *OUT, '--param', 'x=1'), "'x'"),
    ],
)  # fmt: skip
def test_wrong_command_line(sphere, capsys, argv, words):
    assert words in refused(sphere, capsys, exit_codes.USAGE, *argv)


def test_nothing_is_overwritten_unasked(sphere, capsys):
    assert sphere.run(*TKD, *OUT) == 0
    first = sphere.read('out')
    assert 'exists already' in refused(sphere, capsys, 2, *TKD, *OUT)
    (sphere.folder / 'out.nii.gz').unlink()  # its sidecar alone counts as well
    assert 'out.json' in refused(sphere, capsys, 2, *TKD, *OUT)
    assert sphere.run(*TKD, *OUT, '--overwrite', '--param', 'threshold=0.3') == 0
    assert not np.array_equal(sphere.read('out'), first)
    assert sphere.sidecar('out')['Parameters']['threshold'] == 0.3


def test_a_full_disk_leaves_nothing_half_written(sphere, capsys, monkeypatch):
    def half(image, path, stream):
        stream.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(step_outputs, '_stream', half)
    assert sphere.run(*TKD, *OUT) == exit_codes.SOME_FAILED
    assert 'No space left' in capsys.readouterr().err
    assert not [p for p in sphere.folder.iterdir() if 'out.nii' in p.name]


def test_a_fault_of_the_program_is_no_traceback(sphere, capsys, monkeypatch):
    monkeypatch.setattr(step_outputs, '_image', lambda *_: 1 / 0)
    assert sphere.run(*TKD, *OUT) == exit_codes.INTERNAL
    said = capsys.readouterr().err
    assert 'ZeroDivisionError' in said
    assert 'Traceback' not in said


# ------------------------------------------------------------------------------------- data
def test_unusable_data(sphere, capsys):
    def unusable(*argv):
        return refused(sphere, capsys, exit_codes.NOTHING_USABLE, *argv)

    mask, field = ('--mask', 'mask.nii.gz'), ('--field', 'field.nii.gz')
    assert '--imaging-frequency' in unusable('invert', 'tkd', *mask, *field, *OUT)
    assert 'echo times are not known' in unusable('unwrap', 'romeo', *ECHOES, *OUT)
    assert '3 echo times' in unusable('unwrap', 'romeo', *ECHOES, *OUT, *TIMES[:-1])
    milliseconds = ('--echo-times', '4', '10', '16', '22')
    assert 'milliseconds' in unusable('unwrap', 'romeo', *ECHOES, *OUT, *milliseconds)
    four_d = ('--field', 'phase.nii.gz')
    assert '4 volumes' in unusable('background', 'vsharp', *four_d, *mask, *OUT)
    sphere.save('empty', np.zeros_like(sphere.mask))
    assert 'empty' in unusable('background', 'vsharp', *field, '--mask', 'empty.nii.gz', *OUT)
    sphere.save('small', sphere.mask[:-1])
    assert 'one grid' in unusable('background', 'vsharp', *field, '--mask', 'small.nii.gz', *OUT)
    sphere.save('rads', sphere.field_hz, Units='rad/s')
    assert 'rad/s' in unusable('background', 'vsharp', '--field', 'rads.nii.gz', *mask, *OUT)
    (sphere.folder / 'broken.nii.gz').write_bytes(
        (sphere.folder / 'field.nii.gz').read_bytes()[:2000]
    )
    assert 'broken' in unusable('background', 'vsharp', '--field', 'broken.nii.gz', *mask, *OUT)


def test_echo_times_of_magnitude_and_phase_must_agree(sphere, capsys):
    sphere.save('odd', sphere.magnitude[3], EchoTime=0.03)
    files = [f'magnitude-{e}.nii.gz' for e in range(1, 4)]
    said = refused(
        sphere, capsys, exit_codes.NOTHING_USABLE, 'unwrap', 'romeo', '--mask', 'mask.nii.gz',
        '--phase', *(f'phase-{e}.nii.gz' for e in range(1, 5)),
        '--magnitude', *files, 'odd.nii.gz', *OUT,
    )  # fmt: skip
    assert 'different echo times' in said


# ------------------------------------------------------------------------------------ phase
def test_phase_in_scanner_units_becomes_radians(sphere, capsys):
    stored = np.rint(sphere.phase * 4096 / np.pi).clip(-4096, 4095).astype(np.int16)
    sphere.save('stored', stored)
    files = ('--phase', 'stored.nii.gz', *ECHOES[2:], *TIMES)
    assert sphere.run('offset', 'mcpc3ds', *files, *OUT) == 0
    assert '12 bit' in capsys.readouterr().err
    assert sphere.run('offset', 'mcpc3ds', *ECHOES, *TIMES, '--out', 'rad.nii.gz') == 0
    error = np.angle(np.exp(1j * (sphere.read('out') - sphere.read('rad'))))
    assert np.abs(error).max() < 0.01
    assert sphere.sidecar('out')['PhaseScaling']['Slope'] == pytest.approx(np.pi / 4096)


def test_unknown_range_of_phase_is_refused(sphere, capsys):
    sphere.save('odd', sphere.phase * 50)
    files = ('--phase', 'odd.nii.gz', *ECHOES[2:], *TIMES, *OUT)
    said = refused(sphere, capsys, exit_codes.NOTHING_USABLE, 'unwrap', 'romeo', *files)
    assert 'no range' in said


def test_phase_that_fills_less_than_the_circle_is_radians(sphere, capsys):
    sphere.save('part', 0.6 * sphere.phase)
    files = ('--phase', 'part.nii.gz', *ECHOES[2:], *TIMES, *OUT)
    assert sphere.run('unwrap', 'laplacian', *files) == 0
    assert 'taken for radians' in capsys.readouterr().err


def test_inverted_phase_is_turned_once(sphere):
    """A scanner that stores it inverted; the result of the first step is not turned again."""
    facts = {'EchoTime': list(sphere.echo_times_s), 'Units': 'rad', 'Manufacturer': 'GE'}
    sphere.save('ge', -sphere.phase, **facts)
    rest = ('--mask', 'mask.nii.gz', '--magnitude', 'magnitude.nii.gz')
    assert sphere.run('offset', 'mcpc3ds', '--phase', 'ge.nii.gz', *rest, *OUT) == 0
    assert sphere.sidecar('out')['PhaseScaling']['Sign'] == -1
    again = ('unwrap', 'romeo', '--phase', 'out.nii.gz', *rest, '--out', 'u.nii.gz')
    assert sphere.run(*again) == 0
    assert sphere.sidecar('u')['PhaseScaling']['Sign'] == 1
    assert sphere.run('offset', 'mcpc3ds', *ECHOES, *TIMES, '--out', 'plus.nii.gz') == 0
    np.testing.assert_allclose(sphere.read('out'), sphere.read('plus'), atol=1e-5)


# ------------------------------------------------------------------------------ orientation
def test_results_have_the_coordinates_of_the_input(sphere):
    sphere.save('aligned', sphere.field_hz, code=2)
    command = ('background', 'vsharp', '--mask', 'mask.nii.gz', '--field')
    for name in ('field', 'aligned'):
        assert sphere.run(*command, f'{name}.nii.gz', '--out', f'{name}-local.nii') == 0
        before = nib.load(f'{name}.nii.gz')
        after = nib.load(f'{name}-local.nii')
        assert after.get_data_dtype() == np.float32
        np.testing.assert_allclose(after.affine, before.affine, atol=1e-6)
        for form in ('sform_code', 'qform_code'):
            assert after.header[form] == before.header[form]


def test_coordinates_that_are_not_the_scanner_s_are_mentioned(sphere, capsys):
    sphere.save('aligned', sphere.field_hz, code=2)
    assert sphere.run('invert', 'tkd', '--field', 'aligned.nii.gz', *FIELD[2:], *OUT) == 0
    assert '--b0-dir' in capsys.readouterr().err
    assert sphere.sidecar('out')['B0Direction'] == pytest.approx(
        sphere.grid.b0_direction, abs=1e-5
    )


def test_no_coordinates_at_all(sphere, capsys):
    sphere.save('bare', sphere.field_hz, code=0)
    sphere.save('bare-mask', sphere.mask, code=0)
    bare = ('invert', 'tkd', '--field', 'bare.nii.gz', '--mask', 'bare-mask.nii.gz', *FIELD[4:])
    assert '--b0-dir' in refused(sphere, capsys, exit_codes.NOTHING_USABLE, *bare, *OUT)
    assert sphere.run(*bare, *OUT, '--b0-dir', '0', '0', '1') == 0
    assert sphere.sidecar('out')['B0Direction'] == [0, 0, 1]


# ------------------------------------------------------------------------ stages to be filled
@dataclass(frozen=True, kw_only=True)
class NoParameters:
    gain: float = 1.0


def add_method(monkeypatch, stage, function, **more):
    """Put a made-up method into the catalogue."""
    module = types.ModuleType('made_up_methods')
    module.function, module.NoParameters = function, NoParameters
    monkeypatch.setitem(sys.modules, 'made_up_methods', module)
    path = 'made_up_methods:'
    method = Method(
        stage, 'made-up', 'Made up', path + 'function', path + 'NoParameters', 'nobody1900', 'x',
        **more,
    )  # fmt: skip
    monkeypatch.setattr(methods, 'CATALOGUE', (*methods.CATALOGUE, method))
    monkeypatch.setitem(methods.STAGES, stage, stage)


def test_several_orientations(sphere, monkeypatch, capsys):
    got = {}

    def invert(local_fields_ppm, masks, grid, b0_directions, *, weights=None, parameters):
        got.update(fields=local_fields_ppm, masks=masks, b0=b0_directions, weights=weights)
        return parameters.gain * local_fields_ppm.mean(axis=0), masks.all(axis=0)

    add_method(monkeypatch, 'cosmos', invert, takes=('weights',))
    for i in (1, 2, 3):
        sphere.save(f'field-{i}', sphere.field_hz * i)
    files = [f'field-{i}.nii.gz' for i in (1, 2, 3)]
    command = ('cosmos', 'made-up', '--field', *files, '--mask', 'mask.nii.gz',
               '--field-strength', '3', *OUT)  # fmt: skip
    assert '0 directions' in refused(sphere, capsys, exit_codes.NOTHING_USABLE, *command)
    directions = [*'001', *'011', *'101']
    assert sphere.run(*command, '--b0-dir', *directions, '--out-mask', 'm.nii.gz') == 0
    assert got['fields'].shape == got['masks'].shape == (3, *sphere.mask.shape)
    np.testing.assert_allclose(np.linalg.norm(got['b0'], axis=1), 1, atol=1e-5)
    assert got['b0'][1] == pytest.approx([0, 0.7071, 0.7071], abs=1e-4)
    assert got['weights'] is None
    np.testing.assert_allclose(sphere.read('out'), 2 * sphere.field_hz / 127.732434, atol=1e-5)
    assert len(sphere.sidecar('m')['B0Directions']) == 3
    assert sphere.sidecar('m')['References'] == ['nobody1900']


def test_result_that_a_method_does_not_have(sphere, monkeypatch, capsys):
    def correct(phase, magnitude, echo_times_s, mask, grid, *, parameters):
        return phase

    add_method(monkeypatch, 'bipolar', correct)
    assert sphere.run('bipolar', 'made-up', *ECHOES, *TIMES, *OUT, '--out-readout', 'r.nii') == 2
    assert 'gives nothing for --out-readout' in capsys.readouterr().err
    assert sphere.sidecar('out')['Units'] == 'rad'  # the main result is there


def test_progress_is_for_terminals_only(sphere, monkeypatch, capsys):
    def invert(local_field_ppm, mask, grid, *, weight=None, parameters, progress=None):
        progress(0.5, 'half way')
        return local_field_ppm

    add_method(monkeypatch, 'inversion', invert)
    command = ('invert', 'made-up', *FIELD)
    assert sphere.run(*command, '--out', 'a.nii.gz') == 0
    assert 'half way' not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    assert sphere.run(*command, '--out', 'b.nii.gz') == 0
    assert '[ 50 %] half way' in capsys.readouterr().err


def test_sidecars_are_plain_json(sphere):
    assert sphere.run(*TKD, *OUT) == 0
    text = (sphere.folder / 'out.json').read_text(encoding='utf-8')
    assert 'NaN' not in text
    assert json.loads(text)['Parameters']
    assert set(json.loads(text)['Inputs']) <= set(INPUTS)


def test_documentation_names_every_verb_and_result():
    text = (Path(__file__).parents[2] / 'docs' / 'steps.md').read_text(encoding='utf-8')
    for verb in VERBS.values():
        row = next(line for line in text.splitlines() if line.startswith(f'| `{verb.name}` |'))
        for output in verb.outputs[1:]:
            assert f'`--{output.option}`' in row
