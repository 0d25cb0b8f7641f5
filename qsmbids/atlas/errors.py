"""Errors of the atlas room: what is wrong, why it matters, what to do."""

from __future__ import annotations

from qsmbids.lifespan.errors import ThreeLineError


class AtlasError(ThreeLineError):
    """An atlas or an image that cannot be used."""


class RegistrationError(AtlasError):
    """A registration that did not work, or whose result must not be used."""
