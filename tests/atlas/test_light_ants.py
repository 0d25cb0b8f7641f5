"""ANTs is imported without what it does not need here, and stays whole."""

import subprocess
import sys
import textwrap

LOAD = 'import sys\nfrom qsmbids.atlas.light_ants import ants\n'


def said(code, **keywords):
    run = subprocess.run(
        [sys.executable, '-c', LOAD + textwrap.dedent(code)],
        capture_output=True, text=True, check=False, **keywords,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_only_what_registration_needs_is_imported():
    heavy = "{'matplotlib', 'scipy.stats', 'sklearn', 'statsmodels'}"
    assert said(f'print(sorted({heavy} & set(sys.modules)))') == '[]\n'


def test_the_libraries_are_themselves_afterwards():
    said("""
        import matplotlib.pyplot, scipy.stats, sklearn.preprocessing, statsmodels.api
        assert abs(scipy.stats.norm.cdf(0) - 0.5) < 1e-9
        assert issubclass(sklearn.preprocessing.PolynomialFeatures, sklearn.base.BaseEstimator)
    """)


def test_what_ants_itself_does_with_them_still_works(tmp_path):
    said(
        """
        import numpy as np
        image = ants.from_numpy(np.random.default_rng(0).random((9, 9, 9), np.float32))
        ants.plot(image, filename='slices.png')
        double = ants.from_numpy(2 * image.numpy())
        mapped = ants.regression_match_image(image, double, poly_order=1)
        assert np.allclose(mapped.numpy(), double.numpy(), atol=1e-4)
        """,
        cwd=tmp_path,
    )
    assert (tmp_path / 'slices.png').stat().st_size > 1000


def test_a_version_that_wants_more_gets_the_libraries_at_once(tmp_path, monkeypatch):
    folder = tmp_path / 'ants'
    folder.mkdir()
    (folder / '__init__.py').write_text('from .part import Terms\n')
    (folder / 'part.py').write_text(
        'from sklearn.preprocessing import PolynomialFeatures\n'
        'class Terms(PolynomialFeatures): pass\n'
    )
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=':')
    assert said('print(ants.Terms(degree=3).degree)') == '3\n'
