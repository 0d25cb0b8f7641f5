"""Evening out of coil sensitivity, as far as finding the brain needs it."""

from __future__ import annotations

import numpy as np

from .masks import otsu_threshold

DEGREE = 3  # of the polynomial; enough for a head coil, too stiff to follow anatomy
EVERY = 4  # voxels used for the fit, along each axis
PASSES = 2  # the dark end of the head is only recognised as head after a first pass
ITERATIONS = 15
WIDEST, NARROWEST = 1.0, 0.3  # of the window around the fit that counts, in log intensity
NARROWING = 0.8  # per iteration


def flatten_bias(image: np.ndarray) -> np.ndarray:
    """Divide an image of a head by a smooth estimate of the sensitivity of the coils.

    Parameters
    ----------
    image : (nx, ny, nz) float32
        Magnitude with some background, voxels of about 2 mm.

    Returns
    -------
    (nx, ny, nz) float32
        The brain has an intensity of about 1 everywhere.

    Raises
    ------
    ValueError
        If the image has one value only.

    Notes
    -----
    The logarithm of the sensitivity is a polynomial of third degree in the coordinates. It
    is fitted to the logarithm of the intensities in the head with weights (1 - (r/w)^2)^2
    for a residual r, with a window w that narrows from one iteration to the next: the fit
    settles on the largest tissue, the brain, and disregards bone, fat and vessels.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 40, dtype=np.float32).reshape(-1, 1, 1)
    >>> image = np.exp(x) * np.ones((40, 40, 40), np.float32)
    >>> image[:, :8] = 0
    >>> flat = flatten_bias(image)[:, 8:]
    >>> bool(np.percentile(abs(flat - 1), 90) < 0.01)  # the very ends are kept in range
    True
    """
    sensitivity = np.ones_like(image)
    for _ in range(PASSES):
        even = image / sensitivity
        head = even > otsu_threshold(np.minimum(even, np.percentile(even, 99))) / 2
        sensitivity = _fitted(image, head)
    return image / sensitivity


def _fitted(image: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Return exp(polynomial) of the shape of the image, fitted to the head."""
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in image.shape]
    exponents = [
        (i, j, k)
        for i in range(DEGREE + 1)
        for j in range(DEGREE + 1 - i)
        for k in range(DEGREE + 1 - i - j)
    ]
    coarse = (slice(None, None, EVERY),) * 3
    used = head[coarse] & (image[coarse] > 0)
    coordinates = [
        axis[::EVERY][index] for axis, index in zip(axes, np.nonzero(used), strict=True)
    ]
    terms = np.stack(
        [np.prod([u**p for u, p in zip(coordinates, e, strict=True)], axis=0) for e in exponents]
    )
    target = np.log(image[coarse][used].astype(float))

    weight = np.ones(target.size)
    window = WIDEST
    for _ in range(ITERATIONS):
        weighted = terms * weight
        coefficients = np.linalg.lstsq(weighted @ terms.T, weighted @ target, rcond=None)[0]
        residual = target - coefficients @ terms
        residual -= np.median(residual)
        window = max(NARROWEST, NARROWING * window)
        weight = np.clip(1 - (residual / window) ** 2, 0, 1) ** 2

    x, y, z = (axis.reshape(np.roll((-1, 1, 1), a)) for a, axis in enumerate(axes))
    logarithm = np.zeros(image.shape)
    for c, (i, j, k) in zip(coefficients, exponents, strict=True):
        logarithm += c * (x**i * y**j) * z**k
    # beyond the head the polynomial means nothing: keep it within the range of the head
    fitted = coefficients @ terms
    np.clip(logarithm, *np.percentile(fitted, [0.5, 99.5]), out=logarithm)
    return np.exp(logarithm).astype(np.float32)
