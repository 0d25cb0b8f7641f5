"""Lesions and veins whose truth is known, through the default chain, and the tables they give.

    python benchmarks/lesions.py                    # the figures of docs/lesions.md
    python benchmarks/lesions.py --scenes rims --seeds 1 2 --snr 30 --drawn 1

A small head, an ellipsoid of brain with gentle texture, holds spheres, shells and tubes. It is
drawn and its field computed on a grid twice as fine as the data (with the forward model of the
phantom, not with the kernels of the reconstruction); magnitude and phase of five echoes are
averaged over the fine voxels, so that partial volume, dephasing and signal loss come about by
themselves, and noise is added. An air cavity below the brain makes a background field. The map
is made by the default methods of the program and referenced to the whole brain. The masks given
to the measures are the drawn ones, voxels that are at least half lesion; ``--drawn 1`` grows them
by a voxel, ``--drawn -1`` shrinks them, as people draw generously or sparingly.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from qsmbids import methods, qsm
from qsmbids.atlas.lesions import lesion_table, vein_table
from qsmbids.phantom.forward import dipole_field
from qsmbids.phantom.signal import block_mean

FINE = 2  # fine voxels per voxel of the data
ECHO_TIMES_S = (0.004, 0.009, 0.014, 0.019, 0.024)
HZ_PER_PPM = 127.73  # 3 T
HAEMATOCRIT = 0.40
CHI_DEOXY, CHI_OXY = 3.43, -0.10  # ppm, Jain 2012; the forward side of the formula under test
EXTENT_MM = (84.0, 92.0, 76.0)
SEMI_AXES_MM = (36.0, 40.0, 32.0)


@dataclass(frozen=True)
class Thing:
    """A sphere, a shell or a tube: chi of its outer part and, for shells, of its core."""

    kind: str  # microbleed, calcification, solid, rim, mixed, vein
    centre: tuple[float, float, float]  # mm, from the middle of the field of view
    radius: float  # mm
    chi: float  # ppm above tissue
    r2star: float = 0.0  # 1/s above tissue
    rim: float = 0.0  # mm, thickness of a shell; 0 = solid
    core: float = 0.0  # ppm, of the core of a shell
    axis: tuple[float, float, float] | None = None  # of a tube
    length: float = 0.0  # mm
    saturation: float = math.nan


def venous_chi(saturation: float) -> float:
    """Return the susceptibility of venous blood over tissue, ppm."""
    return HAEMATOCRIT * (CHI_OXY + CHI_DEOXY * (1 - saturation))


def places(spacing: float, n: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Return points of a body-centred lattice well inside the brain, in random order, jittered."""
    reach = np.arange(-3, 4) * spacing
    grid = np.stack(np.meshgrid(reach, reach, reach, indexing='ij'), -1).reshape(-1, 3)
    points = np.concatenate([grid, grid + spacing / 2])
    inside = ((points / (np.array(SEMI_AXES_MM) - 9)) ** 2).sum(1) < 1
    points = rng.permutation(points[inside])[:n]
    if len(points) < n:
        raise ValueError(f'{n} things do not fit at a distance of {spacing} mm')
    return [tuple(p) for p in points + rng.uniform(-0.7, 0.7, points.shape)]


def focal(seed: int) -> list[Thing]:
    """Return microbleeds and calcifications of several sizes, and lesions of both signs."""
    rng = np.random.default_rng([seed, 1])
    sizes = (1.0, 1.5, 2.0, 2.5, 3.5)
    kinds = [
        ('microbleed', r, chi) for r, chi in zip(sizes, (1.2, 1.0, 0.8, 0.6, 0.5), strict=True)
    ]
    kinds += [('calcification', r, chi) for r, chi in
              zip(sizes, (-1.2, -1.5, -1.0, -1.2, -0.6), strict=True)]  # fmt: skip
    spots = places(19, len(kinds), rng)
    return [
        Thing(kind, spot, r, chi, r2star=80.0 if chi > 0 else 20.0)
        for (kind, r, chi), spot in zip(kinds, spots, strict=True)
    ]


def rims(seed: int) -> list[Thing]:
    """Return rim lesions of several sizes and thicknesses, and solid lesions that have none."""
    rng = np.random.default_rng([seed, 2])
    things = [
        ('rim', 4.0, 0.10, 1.0, 0.0), ('rim', 5.0, 0.10, 1.5, 0.02), ('rim', 6.0, 0.08, 1.5, 0.0),
        ('rim', 5.5, 0.08, 2.0, 0.03), ('solid', 4.0, 0.06, 0.0, 0.0),
        ('solid', 5.0, 0.04, 0.0, 0.0), ('solid', 6.0, 0.10, 0.0, 0.0),
        ('calcification', 4.0, -0.4, 0.0, 0.0), ('microbleed', 4.5, 0.4, 0.0, 0.0),
        ('solid', 5.0, -0.05, 0.0, 0.0),
    ]  # fmt: skip
    spots = places(23, len(things), rng)
    return [
        Thing(kind, spot, r, chi, 5.0, rim, core)
        for (kind, r, chi, rim, core), spot in zip(things, spots, strict=True)
    ]


def veins(seed: int) -> list[Thing]:
    """Return tubes of 2 to 6 voxels of 1 mm in several directions."""
    rng = np.random.default_rng([seed, 3])
    directions = [(0, 0, 1), (1, 0, 0), (0, 1, 0.6), (1, 0, 1.4), (0.3, 1, 0)]
    found = []
    for spot, axis, diameter in zip(
        [(-17, 14, 0), (15, 18, 9), (14, -6, -12), (-14, -17, 2), (3, 2, 18)],
        rng.permutation(directions), rng.permutation([2.0, 3.0, 4.0, 5.0, 6.0]), strict=True,
    ):  # fmt: skip
        saturation = rng.uniform(0.5, 0.8)
        found.append(Thing(
            'vein', spot, diameter / 2, venous_chi(saturation), 15.0, axis=tuple(axis),
            length=22.0, saturation=saturation,
        ))  # fmt: skip
    return found


SCENES = {'focal': focal, 'rims': rims, 'veins': veins}


@dataclass(frozen=True)
class Scan:
    """A simulated scan and what is in it."""

    magnitude: np.ndarray  # (n_echo, nx, ny, nz)
    phase: np.ndarray
    brain: np.ndarray
    labels: np.ndarray  # (nx, ny, nz) int: 1 + index of a thing, in voxels at least half of it
    chi: np.ndarray  # truth, ppm
    affine: np.ndarray
    grid: qsm.Grid


def simulate(things: Sequence[Thing], voxel_mm: float, snr: float, seed: int) -> Scan:
    """Simulate one scan."""
    rng = np.random.default_rng([seed, 9])
    shape = tuple(2 * round(e / voxel_mm / 2) for e in EXTENT_MM)
    h = voxel_mm / FINE
    axes = [(np.arange(n * FINE) - (n * FINE - 1) / 2) * h for n in shape]
    x, y, z = np.meshgrid(*axes, indexing='ij', sparse=True)
    a, b, c = SEMI_AXES_MM
    brain = (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1
    chi = _texture(axes, rng).astype(np.float32)
    r2star = np.full(chi.shape, 18.0, dtype=np.float32)
    shares = np.zeros((len(things), *shape), dtype=np.float32)
    for share, thing in zip(shares, things, strict=True):
        distance = _distance(thing, x, y, z)
        whole = distance < thing.radius
        share[:] = block_mean(whole.astype(np.float32), FINE)
        chi[whole] = thing.chi
        r2star[whole] += thing.r2star
        if thing.rim:
            chi[distance < thing.radius - thing.rim] = thing.core
    chi *= brain
    cavity = x**2 + (y - 20) ** 2 + (z + c + 6) ** 2 < 5**2
    field = dipole_field(np.where(cavity, np.float32(9.2), chi), (h, h, h), (0, 0, 1))
    field -= field[brain].mean()
    signal = []
    for time in ECHO_TIMES_S:
        fine = np.exp(-r2star * time + 2j * np.pi * np.float32(HZ_PER_PPM * time) * field)
        signal.append(block_mean(np.where(brain, fine, 0).astype(np.complex64), FINE))
    signal = np.array(signal)
    noise = rng.normal(size=(2, *signal.shape)) * np.exp(-18 * ECHO_TIMES_S[0]) / snr
    signal = signal + noise[0] + 1j * noise[1]
    affine = np.diag([voxel_mm] * 3 + [1.0])
    affine[:3, 3] = [axis[0] + h / 2 for axis in axes]
    labels = np.where(shares.max(0) >= 0.5, shares.argmax(0) + 1, 0)
    return Scan(
        np.abs(signal).astype(np.float32), np.angle(signal).astype(np.float32),
        block_mean(brain.astype(np.float32), FINE) >= 0.5, labels, block_mean(chi, FINE), affine,
        qsm.Grid.from_affine(shape, affine),
    )  # fmt: skip


def reconstruct(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Return susceptibility (ppm, relative to the whole brain) and the mask where it is known."""
    grid, magnitude, mask = scan.grid, scan.magnitude, scan.brain
    chosen = {s: methods.get(s, methods.DEFAULT_METHODS[s])
              for s in ('unwrapping', 'fieldmap', 'inversion', 'background')}  # fmt: skip
    quality = qsm.phase_quality(scan.phase, magnitude, ECHO_TIMES_S, mask)
    unwrapped = chosen['unwrapping'].load()(scan.phase, magnitude, ECHO_TIMES_S, mask, grid)
    field, noise, agreement = chosen['fieldmap'].load()(unwrapped, magnitude, ECHO_TIMES_S, mask)
    reliable = qsm.quality_mask(quality, mask, agreement, grid)
    field = qsm.hz_to_ppm(field, HZ_PER_PPM)
    inversion = chosen['inversion']
    if inversion.field == 'local':
        field, reliable = chosen['background'].load()(field, reliable, grid)
    extra = {}
    if 'weight' in inversion.takes:
        extra['weight'] = np.where(reliable, 1 / np.maximum(noise, 1e-6), 0).astype(np.float32)
    if 'magnitude' in inversion.takes:
        extra['magnitude'] = np.sqrt((magnitude**2).sum(0))
    chi = inversion.load()(field, reliable, grid, **extra)
    known = reliable & (chi != 0)
    chi, _, _ = qsm.reference_to(chi, known, known)
    return chi, known


def _texture(axes: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return smooth variation of tissue with a standard deviation of about 8 ppb."""
    total = np.zeros(tuple(len(a) for a in axes))
    for _ in range(12):
        k = rng.normal(size=3)
        k *= 2 * np.pi / rng.uniform(15, 40) / np.linalg.norm(k)
        wave = [np.exp(1j * f * a) for f, a in zip(k, axes, strict=True)]
        outer = wave[0][:, None, None] * wave[1][None, :, None] * wave[2][None, None, :]
        total += (outer * np.exp(2j * np.pi * rng.random())).real
    return 0.008 * total / np.sqrt(6)


def _distance(thing: Thing, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the distance from the centre, or from the line of a tube with round ends."""
    cx, cy, cz = thing.centre
    dx, dy, dz = x - cx, y - cy, z - cz
    if thing.axis is not None:
        u = np.asarray(thing.axis, dtype=float) / np.linalg.norm(thing.axis)
        along = np.clip(dx * u[0] + dy * u[1] + dz * u[2], -thing.length / 2, thing.length / 2)
        dx, dy, dz = dx - along * u[0], dy - along * u[1], dz - along * u[2]
    return np.sqrt(dx**2 + dy**2 + dz**2).astype(np.float32)


def draw(labels: np.ndarray, grow: int) -> np.ndarray:
    """Return the marking as drawn by somebody generous (grow > 0) or sparing (grow < 0)."""
    if grow == 0:
        return labels
    drawn = np.zeros_like(labels)
    change = ndimage.binary_dilation if grow > 0 else ndimage.binary_erosion
    for value in range(1, labels.max() + 1):
        drawn[change(labels == value, iterations=abs(grow))] = value
    return drawn


def lesion_scores(scan: Scan, things: Sequence[Thing], grow: int = 0) -> list[dict]:
    """Return one row for each lesion: what was measured and what is true."""
    chi, known = reconstruct(scan)
    voxel = scan.grid.voxel_size[0]
    rows = []
    for row in lesion_table(chi, draw(scan.labels, grow), known, scan.affine):
        thing = things[row['label'] - 1]
        volume = 4 / 3 * math.pi * thing.radius**3
        true_sign = 'paramagnetic' if thing.chi > 0 else 'diamagnetic'
        rows.append({
            'kind': thing.kind, 'radius': thing.radius, 'chi': thing.chi, 'rim': thing.rim,
            'sign': row['sign'], 'sign_right': row['sign'] == true_sign,
            'rim_flag': row['rim_flag'], 'rim_z': row['rim_z'], 'rim_ratio': row['rim_ratio'],
            'completeness': row['rim_completeness'],
            'layers_drawn': (_radius(row['volume_mm3']) - thing.radius) / voxel,
            'layers_half_max': (_radius(row['half_max_volume_mm3']) - thing.radius) / voxel,
            'max': row['max'],
            'total': row['total_susceptibility_wide'],
            'true_total': _true_total(thing, volume),
        })  # fmt: skip
    return rows


def vein_scores(scan: Scan, things: Sequence[Thing], grow: int = 0) -> list[dict]:
    """Return one row for each vein: measured and true saturation, percent."""
    chi, known = reconstruct(scan)
    table = vein_table(
        chi, draw(scan.labels, grow), known, scan.affine, haematocrit=HAEMATOCRIT, connected=False
    )
    rows = []
    for row in table:
        thing = things[row['label'] - 1]
        rows.append({
            'diameter': 2 * thing.radius / scan.grid.voxel_size[0], 'axis': thing.axis,
            'measured_diameter': row['diameter_voxels'], 'true': 100 * thing.saturation,
            'error': 100 * (row['oxygen_saturation'] - thing.saturation),
            'error_top': 100 * (row['oxygen_saturation_top'] - thing.saturation),
            'remark': row['remark'],
        })  # fmt: skip
    return rows


def _radius(volume: float) -> float:
    return (3 * volume / (4 * math.pi)) ** (1 / 3)


def _true_total(thing: Thing, volume: float) -> float:
    inner = 4 / 3 * math.pi * (thing.radius - thing.rim) ** 3 if thing.rim else 0.0
    return thing.chi * (volume - inner) + thing.core * inner


def main() -> None:
    """Simulate, reconstruct, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--scenes', nargs='+', choices=list(SCENES), default=list(SCENES))
    parser.add_argument('--seeds', nargs='+', type=int, default=[1, 2, 3])
    parser.add_argument('--voxel-size', type=float, default=1.0, help='mm')
    parser.add_argument('--snr', type=float, default=60.0, help='of the first echo')
    parser.add_argument(
        '--drawn', type=int, default=0, help='voxels that the drawing is too large'
    )
    args = parser.parse_args()
    lesions, tubes = [], []
    for scene in args.scenes:
        for seed in args.seeds:
            things = SCENES[scene](seed)
            scan = simulate(things, args.voxel_size, args.snr, seed)
            if scene == 'veins':
                tubes += vein_scores(scan, things, args.drawn)
            else:
                lesions += lesion_scores(scan, things, args.drawn)
    if lesions:
        _print_lesions(lesions)
    if tubes:
        _print_veins(tubes)


def _print_lesions(rows: Sequence[dict]) -> None:
    print('| lesion | radius, mm | chi, ppm | rim, mm | sign | rim found | z | ratio | complete '
          '| layers, drawn | layers, half max. | max, ppm | total / truth |')  # fmt: skip
    print('|---|' + '---:|' * 3 + '---|---|' + '---:|' * 7)
    for r in sorted(rows, key=lambda r: (r['kind'], r['radius'])):
        print(
            f'| {r["kind"]} | {r["radius"]:g} | {r["chi"]:g} | {r["rim"] or "-"} | {r["sign"]} '
            f'| {r["rim_flag"]} | {r["rim_z"]:.1f} | {r["rim_ratio"]:.2f} '
            f'| {r["completeness"]:.2f} | {r["layers_drawn"]:+.2f} | {r["layers_half_max"]:+.2f} '
            f'| {r["max"]:.2f} | {r["total"] / r["true_total"]:.2f} |'
        )
    wrong = sum(not r['sign_right'] for r in rows)
    rims = [r for r in rows if r['kind'] == 'rim']
    others = [r for r in rows if r['kind'] != 'rim' and r['rim_flag'] != 'n/a']
    print(f'\nwrong signs: {wrong} of {len(rows)}')
    print(f'rims found: {sum(r["rim_flag"] == "yes" for r in rims)} of {len(rims)} '
          f'({sum(r["rim_flag"] == "n/a" for r in rims)} too small)')  # fmt: skip
    print(f'false rims: {sum(r["rim_flag"] == "yes" for r in others)} of {len(others)}')
    for name in ('layers_drawn', 'layers_half_max'):
        print(f'{name}: at most {max(abs(r[name]) for r in rows):.2f} voxel')
    strong = [r for r in rows if r['kind'] in ('microbleed', 'calcification')]
    ratios = [r['total'] / r['true_total'] for r in strong]
    if ratios:
        print(f'total susceptibility over truth: {min(ratios):.2f} to {max(ratios):.2f}')


def _print_veins(rows: Sequence[dict]) -> None:
    print('\n| diameter, voxels | measured | direction | true, % | error, points | from top | |')
    print('|---:|---:|---|---:|---:|---:|---|')
    for r in sorted(rows, key=lambda r: r['diameter']):
        axis = ', '.join(f'{v:g}' for v in r['axis'])
        print(
            f'| {r["diameter"]:g} | {r["measured_diameter"]:.1f} | {axis} | {r["true"]:.1f} '
            f'| {r["error"]:+.1f} | {r["error_top"]:+.1f} | {r["remark"]} |'
        )
    for low, high in ((4, 99), (3, 4), (0, 3)):
        some = [abs(r['error']) for r in rows if low <= r['diameter'] < high]
        if some:
            print(f'\ndiameter {low} voxels and more: ' if high == 99 else
                  f'{low} to {high} voxels: ', end='')  # fmt: skip
            print(f'error at most {max(some):.1f} points, mean {np.mean(some):.1f} ({len(some)})')


if __name__ == '__main__':
    main()
