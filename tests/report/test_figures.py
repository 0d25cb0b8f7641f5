"""Each picture stands on its own, in fixed windows, small, and the same for any storage."""

import logging

import numpy as np
import pytest
from PIL import Image

from qsmbids.report import figures as figures_module
from qsmbids.report.figures import atlas, draw_figures, fields, maps
from qsmbids.report.figures.images import Images
from qsmbids.report.figures.montage import MAX_BYTES

ALL = ['slab', 'mask', 'phase', 'fields', 'chi', 'deepgrey', 'r2star', 'registration', 'contours']


def picture_width(path):
    with Image.open(path) as image:
        return image.width


def tiles_of(canvas):
    """Return the slices of a figure with their two marks and their note."""
    axes = canvas.axes[0]
    texts = iter(axes.texts)
    return [(image, *found) for image, *found in zip(axes.get_images(), texts, texts, texts,
                                                     strict=True)]  # fmt: skip


def windows(canvas):
    """Return the grey-value windows of the slices of a figure."""
    return {image.get_clim() for axes in canvas.axes for image in axes.get_images()}


def test_all_pictures_of_a_complete_acquisition(files, tmp_path, labels, find_b0):
    figures = draw_figures(
        files, tmp_path / 'out', 'sub-01', b0_direction=find_b0(files['rss']), label_table=labels
    )
    assert [figure.name for figure in figures] == ALL
    for figure in figures:
        assert figure.path.name.startswith(f'sub-01_desc-{figure.name}_')
        assert 1000 < figure.path.stat().st_size <= MAX_BYTES
        assert picture_width(figure.path) == 1500
        assert figure.title
        assert 'good' in figure.caption.lower() or figure.name == 'slab'
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == sorted(
        figure.path.name for figure in figures
    )


@pytest.mark.parametrize('orientation', ['LPI', 'PIR'])
def test_picture_does_not_depend_on_storage_order(
    tmp_path, make_head, store_images, labels, orientation
):
    images, affine = make_head()
    chosen = {key: images[key] for key in ('chi', 'qsm_mask', 'brain_mask')}
    shown = []
    for name in ('RAS', orientation):
        files = store_images(tmp_path / name, chosen, affine, name)
        (chi, _) = draw_figures(files, tmp_path / f'out{name}', 'x', label_table=labels)
        shown.append(chi.path.read_bytes())
    assert shown[0] == shown[1]


def test_marker_is_drawn_beside_the_letter_l(tmp_path, make_head, store_images):
    images, affine = make_head()
    chosen = {key: images[key] for key in ('chi', 'qsm_mask')}
    canvas = maps.draw_chi(Images(store_images(tmp_path, chosen, affine, 'LPI')))
    found = 0
    for image, left, right, _ in tiles_of(canvas):
        if (left.get_text(), right.get_text()) != ('L', 'R'):
            continue
        values = np.ma.filled(image.get_array(), 0)
        columns = np.nonzero(values > 0.15)[1]
        if columns.size:
            found += 1
            assert columns.mean() < 0.45 * values.shape[1]
            start, stop, _, top = image.get_extent()
            middle = (start + stop) / 2
            assert start < left.get_position()[0] < middle < right.get_position()[0] < stop
            assert left.get_position()[1] < top
    assert found >= 2


def test_windows_are_fixed_whatever_the_values(tmp_path, make_head, store_images):
    images, affine = make_head()
    for factor in (0.2, 5.0):
        scaled = {
            k: v if v.dtype == bool or k == 'dseg' else factor * v for k, v in images.items()
        }
        found = Images(store_images(tmp_path / str(factor), scaled, affine))
        assert windows(maps.draw_chi(found)) == {(-0.1, 0.2)}
        assert windows(maps.draw_zoom(found, (1, 2))) == {(-0.1, 0.2)}
        assert windows(fields.draw_fields(found)) == {(-100, 100), (-20, 20)}


def test_tiles_have_the_proportions_of_the_head(files):
    canvas = maps.draw_chi(Images(files))
    axes = canvas.axes[0]
    # what the extents below count in are inches
    assert (*axes.get_xlim(), *axes.get_ylim()) == (0, canvas.get_figwidth(),
                                                    0, canvas.get_figheight())  # fmt: skip
    assert tuple(axes.get_position().bounds) == (0, 0, 1, 1)
    for image, *_, note in tiles_of(canvas):
        left, right, bottom, top = image.get_extent()
        rows, columns = image.get_array().shape
        up = 4 if note.get_text().startswith('z') else 5  # mm; voxels are 4 x 4 x 5
        assert (right - left) / (top - bottom) == pytest.approx(4 * columns / (up * rows))


def test_what_is_not_a_tile_has_room_of_its_own(files, labels):
    images = Images(files)
    canvas = maps.draw_r2star(images)
    lowest = min(image.get_extent()[2] for image, *_ in tiles_of(canvas))
    (histogram,) = (axes for axes in canvas.axes if axes.get_xlabel())
    box = histogram.get_position()
    assert 0 < box.x0 < box.x1 < 1
    assert 0 < box.y0 < box.y1 < lowest / canvas.get_figheight()

    canvas = atlas.draw_contours(images, labels)
    lowest = min(image.get_extent()[2] for image, *_ in tiles_of(canvas))
    (name,) = (text for text in canvas.texts if text.get_text() == 'CCg')
    assert 0 < name.get_position()[1] < lowest / canvas.get_figheight()


def test_outlines_lie_on_the_regions(files, labels):
    canvas = atlas.draw_contours(Images(files), labels)
    seen = 0
    for image, left, _, note in tiles_of(canvas):
        start, stop, bottom, top = image.get_extent()
        paths = [
            path.get_extents()
            for lines in canvas.axes[0].collections
            for path in lines.get_paths()
            if start < path.vertices[0, 0] < stop and bottom < path.vertices[0, 1] < top
        ]
        if note.get_text().startswith('z') and len(paths) > 1:
            seen += 1
            assert left.get_text() == 'L'
            assert paths[0].x1 < (start + stop) / 2 < paths[1].x0  # caudate left and right
            assert paths[0].y0 == pytest.approx(paths[1].y0)
    assert seen >= 2


def test_missing_images_leave_out_only_their_picture(files, tmp_path, labels):
    some = {key: files[key] for key in ('rss', 'chi', 'brain_mask')}
    some['r2star'] = tmp_path / 'absent.nii.gz'
    figures = draw_figures(some, tmp_path / 'out', 'sub-01', label_table=labels)
    assert [figure.name for figure in figures] == ['mask', 'chi', 'deepgrey']
    assert draw_figures({}, tmp_path / 'none', 'sub-01') == []


def test_parts_of_the_work(files, tmp_path, labels, monkeypatch):
    monkeypatch.setattr(figures_module, 'save', lambda canvas, path: None)  # draw, write nothing

    recon, atlas = (
        draw_figures(files, tmp_path, 'x', part=part, b0_direction=(0, 0, 1), label_table=labels)
        for part in ('recon', 'atlas')
    )
    assert [figure.name for figure in recon] == ALL[:7]
    assert [figure.name for figure in atlas] == ['deepgrey', 'registration', 'contours']
    # no step replaces a file that another one vouches for
    assert not {figure.path for figure in recon} & {figure.path for figure in atlas}


def test_unreadable_image_is_logged_and_the_rest_is_drawn(files, tmp_path, caplog):
    files = {key: files[key] for key in ('chi', 'r2star', 'brain_mask')}
    whole = files['r2star'].read_bytes()
    files['r2star'].write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        names = [f.name for f in draw_figures(files, tmp_path / 'out', 'sub-01')]
    assert 'chi' in names
    assert 'r2star' not in names
    assert "'r2star' of sub-01 was not drawn" in caplog.text


def test_pictures_without_any_mask_or_signal(
    tmp_path, make_head, store_images, labels, monkeypatch
):
    monkeypatch.setattr(figures_module, 'save', lambda canvas, path: None)  # draw, write nothing
    images, affine = make_head()
    empty = {key: np.zeros_like(images[key]) for key in ('rss', 'chi', 'r2star', 'dseg')}
    files = store_images(tmp_path / 'images', empty, affine)
    figures = draw_figures(files, tmp_path / 'out', 'x', b0_direction=(0, 0, 1),
                           label_table=labels)  # fmt: skip
    assert {'slab', 'mask', 'chi', 'r2star'} <= {figure.name for figure in figures}
