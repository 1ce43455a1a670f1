"""Principal components of what patches look like: fitted on one image, and good for others of the same kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
RowsOf = Callable[[NDArray[np.intp]], Float32]
"""Returns the raw rows (part, dim) of given candidates."""

FEATURE_SET = 1
"""Grows when a patch is looked at in another way: a model made with another set cannot be handed on."""
PATCH = 8
"""Edge of the small patches, pixels."""
N_RESPONSES = 13
"""Filters of the bank."""
FIT_ROWS = 20_000
"""Components are fitted on at most so many rows, evenly spread: enough for 192 dimensions, and fast at a megapixel."""
CHUNK_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class Components:
    """How a raw row becomes a few numbers."""

    mean: Float32
    """(dim,) taken off first, after standardisation."""
    basis: Float32
    """(dim, component), divided by the SD of the first component."""
    centre: Float32 | None = None
    """(dim,) for a standardisation; None: there is none."""
    sd: Float32 | None = None
    """(dim,) for a standardisation."""
    factor: float = 1.0
    """On the result."""

    def of(self, rows: Float32) -> Float32:
        """Return the components (n, component) of raw rows (n, dim)."""
        if self.centre is not None and self.sd is not None:
            rows = np.asarray((rows - self.centre) / self.sd, dtype=np.float32)
        return np.asarray(np.float32(self.factor) * ((rows - self.mean) @ self.basis), dtype=np.float32)

    def of_all(self, n: int, rows_of: RowsOf) -> Float32:
        """Return the components (n, component) of all candidates, piece by piece."""
        out = np.empty((n, self.basis.shape[1]), dtype=np.float32)
        for start in range(0, n, CHUNK_ROWS):
            part = np.arange(start, min(start + CHUNK_ROWS, n))
            out[part] = self.of(rows_of(part))
        return out


def components(rows: Float32, n_components: int) -> Components:
    """Fit principal components, all divided by the SD of the first.

    Args:
        rows: (row, dim).
        n_components: Number to keep; fewer when there are fewer dimensions.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows.astype(np.float64) - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    basis = vectors[:, ::-1][:, :n_components]
    # The sign of an eigenvector is arbitrary: the largest entry is made positive, so that every machine agrees.
    basis = basis * np.where(basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])] < 0, -1.0, 1.0)
    sd = float(np.sqrt(max(values[-1], 0.0)))
    return Components(mean.astype(np.float32), (basis / (sd if sd > 1e-9 else 1.0)).astype(np.float32))


def standardised_components(table: Float32, n_components: int, factor: float) -> Components:
    """Fit components of the standardised columns of a table (row, dim).

    Args:
        table: All rows; the components are fitted on at most FIT_ROWS of them.
        n_components: As of `components`.
        factor: On the result.
    """
    centre = table.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = (table - centre).std(axis=0, dtype=np.float64)
    sd = np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
    found = components((table[spread_rows(len(table))] - centre) / sd, n_components)
    return Components(found.mean, found.basis, centre, sd, factor)


def raw_lengths(look: Sequence[int]) -> dict[str, int]:
    """Return the length of a raw row of each representation.

    Args:
        look: (channel,) of an image, or (channel, y, x) of given patches.
    """
    edges = [min(PATCH, edge) for edge in look[1:]] or [PATCH, PATCH]
    return {"pca8": look[0] * math.prod(edges), "bank": look[0] * N_RESPONSES}


def spread_rows(n: int) -> NDArray[np.intp]:
    """Return at most FIT_ROWS of the indices 0..n-1, drawn without pattern but always the same."""
    if n <= FIT_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(n).choice(n, FIT_ROWS, replace=False))
