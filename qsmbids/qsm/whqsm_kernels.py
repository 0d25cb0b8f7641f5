"""The compiled loop of weak-harmonic inversion."""

from __future__ import annotations

from .compiled import compiled

SPECTRUM, HALF = 'c8[:, :, ::1]', 'f4[:, :, ::1]'


@compiled(f'void(i8, i8, {SPECTRUM}, {SPECTRUM}, {SPECTRUM}, {HALF}, {HALF}, f4, f4)')
def solve_with_remnant(start, stop, data, sparse, remnant, kernel, laplacian, p, r):
    """Solve for chi and the harmonic field h together at every frequency.

    With D the dipole kernel, L the Laplacian and the penalty of the field's splitting as
    unit, the normal equations are

        [D^2 + p |E|^2] chi + D h     = D a + p g
        D chi + [1 + r L^2] h         = a + r L b

    where |E|^2 = -L. They are solved for chi by elimination of h.

    Parameters
    ----------
    start, stop : int
        Planes to work on.
    data : (nx, ny, nz // 2 + 1) complex64
        In: a, the spectrum of f - s. Out: D chi + h.
    sparse : (nx, ny, nz // 2 + 1) complex64
        In: g, the spectrum of E^T (z - u). Out: chi.
    remnant : (nx, ny, nz // 2 + 1) complex64
        In: b, the spectrum of q - t. Out: L h.
    kernel, laplacian : (nx, ny, nz // 2 + 1) float32
    p, r : float32
        Penalties of the splittings of gradient and Laplacian.
    """
    for i in range(start, stop):
        for j in range(data.shape[1]):
            for k in range(data.shape[2]):
                d, l2 = kernel[i, j, k], laplacian[i, j, k]
                stiff = 1 + r * l2 * l2
                a = data[i, j, k]
                b = r * l2 * remnant[i, j, k]
                whole = d * d * (1 - 1 / stiff) - p * l2
                chi = sparse[i, j, k] * 0
                if l2 < 0:
                    chi = (d * (a - (a + b) / stiff) + p * sparse[i, j, k]) / whole
                h = (a + b - d * chi) / stiff
                sparse[i, j, k] = chi
                data[i, j, k] = d * chi + h
                remnant[i, j, k] = l2 * h
