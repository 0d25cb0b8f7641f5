"""Tiles and their outlines, as they come out in pixels."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from qsmbids.report.figures.images import Volume
from qsmbids.report.figures.montage import DPI, MAX_BYTES, Row, Tile, draw, make_tile, save
from qsmbids.report.figures.outlines import Contour, Outlines, outline
from qsmbids.report.figures.slices import balanced

MARKS = ('', '')


def pixels_of(canvas):
    """Return the figure as (rows, columns, 3), first row at the bottom."""
    canvas.canvas.draw()
    return np.asarray(canvas.canvas.buffer_rgba())[::-1, :, :3].astype(int)


def inside(pixels, image, across, up):
    """Return the colour at fractions of the width and the height of a tile."""
    left, right, bottom, top = (DPI * edge for edge in image.get_extent())
    return pixels[round(bottom + up * (top - bottom)), round(left + across * (right - left))]


def test_values_come_out_where_they_lie_in_the_slice():
    data = np.zeros((20, 30, 8), np.float32)
    data[:10, 15:, 3] = 1.0  # left front quarter
    data[10:, :15, 3] = 0.5  # right back quarter
    volume = Volume(data, (2.0, 1.0, 3.0), np.diag([2.0, 1.0, 3.0, 1.0]))
    canvas = draw([Row('', [make_tile(volume, 2, 3), make_tile(volume, 2, 4)])])
    pixels = pixels_of(canvas)
    quarter, empty = canvas.axes[0].get_images()
    assert inside(pixels, quarter, 0.3, 0.7).tolist() == [255] * 3
    assert inside(pixels, quarter, 0.7, 0.3) == pytest.approx(128, abs=1)
    for across, up in ((0.3, 0.3), (0.7, 0.7)):
        assert inside(pixels, quarter, across, up).tolist() == [0] * 3
    assert not inside(pixels, empty, 0.3, 0.7).any()


def test_nothing_of_a_tile_comes_out_beside_it():
    white = np.ones((40, 20))
    half = np.zeros((40, 20), bool)
    half[:, :19] = True  # an outline on the last column, as wide as it
    tiles = [
        Tile(white, (100.0, 200.0), MARKS, contours=(Contour(half, '#00ff00', 40.0),)),
        Tile(white, (100.0, 200.0), MARKS, arrow=(400.0, 0.0)),
        Tile(np.zeros((40, 20)), (100.0, 200.0), MARKS),
    ]
    canvas = draw([Row('', tiles)], footer='')
    pixels = pixels_of(canvas)
    covered = np.zeros(pixels.shape[:2], bool)
    images = canvas.axes[0].get_images()
    for image in images[:2]:
        left, right, bottom, top = (round(DPI * edge) for edge in image.get_extent())
        covered[bottom - 1 : top + 1, left - 1 : right + 1] = True  # edges share their pixels
    assert pixels[covered].any()
    assert not pixels[~covered].any()
    green, gold = (inside(pixels, image, 0.95, 0.5) for image in images[:2])
    assert green.tolist() == [0, 255, 0]
    assert gold.tolist() != [255] * 3  # the arrow, up to the edge


@pytest.mark.parametrize('zooms', [(1.0, 1.0), (1.0, 2.5)])
def test_outline_of_a_disk_runs_around_it(zooms):
    columns, rows = 60, round(60 / zooms[1])
    x, y = np.meshgrid(np.arange(columns) + 0.5, (np.arange(rows) + 0.5) * zooms[1])
    disk = (x - 20) ** 2 + (y - 35) ** 2 < 12**2
    line = outline(disk, (100.0, 200.0, columns, rows * zooms[1]))
    away = np.hypot(*(line.vertices - (120, 235)).T)
    assert np.abs(away - 12).max() < max(zooms)
    np.testing.assert_allclose(
        line.get_extents().extents, (108, 223, 132, 247), atol=0.6 * max(zooms)
    )
    assert line.codes[-1] == line.CLOSEPOLY


def test_outline_of_a_disk_in_pixels():
    x, y = np.meshgrid(np.arange(100), np.arange(100))
    disk = (x - 30) ** 2 + (y - 60) ** 2 < 20**2
    tile = Tile(np.zeros((100, 100)), (100.0, 100.0), MARKS, contours=(Contour(disk, '#ff0000'),))
    canvas = draw([Row('', [tile])], footer='')
    pixels = pixels_of(canvas)
    (image,) = canvas.axes[0].get_images()
    left, right, bottom, _ = (DPI * edge for edge in image.get_extent())
    rows, columns = np.nonzero(pixels[..., 0] > 100)
    scale = (right - left) / 100  # pixels for each voxel
    away = np.hypot((columns + 0.5 - left) / scale - 30.5, (rows + 0.5 - bottom) / scale - 60.5)
    assert np.abs(away - 20).max() < 1.2
    line = 0.9 / 72 * DPI
    assert rows.size == pytest.approx(2 * np.pi * 20 * scale * line, rel=0.25)


def test_regions_have_their_colours_and_others_are_left_out():
    regions = np.zeros((8, 8, 3), int)
    regions[1:3, 1:3, 1], regions[5:7, 1:3, 1], regions[4, 6, 1] = 7, 3, 9
    regions[..., 2] = 7
    colors = {3: '#111111', 7: '#222222', 8: '#333333'}
    found = Outlines(regions, colors, 0.8).on(2, 1)
    assert [(c.color, c.width, int(c.mask.sum())) for c in found] == [
        ('#111111', 0.8, 4), ('#222222', 0.8, 4),
    ]  # fmt: skip
    assert found[0].mask[1, 5]  # rows run to the front, columns to the right
    assert Outlines(regions, colors).on(2, 0) == ()
    assert Outlines(regions, colors).on(2, 2) == ()  # fills the slice
    assert Outlines(regions[:, :1] == 7, {1: '#222222'}).on(2, 1) == ()  # a single row
    (mask,) = Outlines(regions == 7, {1: '#222222'}).on(2, 1)
    np.testing.assert_array_equal(mask.mask, found[1].mask)


def test_every_outline_of_a_tile_keeps_its_colour():
    first, second = np.zeros((2, 50, 50), bool)
    first[10:20, 10:20], second[30:40, 30:40] = True, True
    contours = (Contour(first, '#ff0000'), Contour(second, '#0000ff', 3.0))
    canvas = draw([Row('', [Tile(np.zeros((50, 50)), (50.0, 50.0), MARKS, contours=contours)])])
    (lines,) = canvas.axes[0].collections
    assert [tuple(color[:3]) for color in lines.get_edgecolor()] == [
        to_rgb('#ff0000'), to_rgb('#0000ff'),
    ]  # fmt: skip
    assert list(lines.get_linewidth()) == [0.9, 3.0]
    pixels = pixels_of(canvas)
    (image,) = canvas.axes[0].get_images()
    assert inside(pixels, image, 10 / 50, 15 / 50)[0] > 150
    assert inside(pixels, image, 30 / 50, 35 / 50).tolist() == [0, 0, 255]


def test_noise_is_compressed_until_it_fits(tmp_path):
    noise = np.random.default_rng(0).random((400, 400))
    rows = [Row('Noise', [Tile(noise, (200.0, 200.0), ('L', 'R'))] * 3)]
    save(draw(rows), tmp_path / 'noise.webp')
    assert (tmp_path / 'noise.webp').stat().st_size <= MAX_BYTES


def test_small_regions_get_slices_too():
    regions = np.zeros((4, 4, 40), int)
    regions[:, :, 20:38] = 1
    regions[1, 1, 3] = 2  # one voxel
    assert balanced(regions, 2, (0.2, 0.7)) == [3, 27]


def test_labels_may_run_into_millions():
    regions = np.zeros((3, 4, 9), int)
    regions[..., 2], regions[..., 6:] = 7_000_000_000, -1
    assert balanced(regions, 2, (0.25, 0.75)) == [2, 7]
    assert balanced(np.zeros((3, 4, 9), int), 2, (0.25,)) == [0]
