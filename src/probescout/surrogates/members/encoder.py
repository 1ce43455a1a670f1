"""A convolutional network that sees an image patch at three sizes.

Patches are standardised, (n, channel, 32, 32) float32, centred on their candidate. The windows of 8, 16 and 32 pixels
are cropped and averaged down to 8 x 8, each goes through two convolutions of its own, and one linear layer brings all
together. The network is float32; whoever builds a kernel matrix on its output does so in float64.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from probescout.core.errors import InvalidInput, Reason

Float32 = NDArray[np.float32]

EDGE = 32
"""Edge of a patch, pixels."""
WINDOWS = (8, 16, 32)
"""Edges of the windows, pixels."""
SEEN = 8
"""Edge to which every window is averaged down."""
WIDTHS = (12, 16)
"""Channels after the first and the second convolution."""
N_CONV_EMBEDDING = 6
BOUND = 2.0
"""The output lies within plus and minus this, so that no lengthscale can run away from it."""
CHUNK_BYTES = 32 << 20
"""Of the patches that are embedded in one go; the activations take about three times that."""
DEVICE = "PROBESCOUT_DEVICE"
"""Environment variable that names where networks run: "cpu" (as without it) or "cuda"."""


class Encoder(torch.nn.Module):
    """Three small trunks and a linear layer.

    Example:
        >>> import torch
        >>> encoder = Encoder(1, torch.Generator().manual_seed(0))
        >>> encoder(torch.zeros(5, 1, 32, 32)).shape
        torch.Size([5, 6])
    """

    def __init__(self, n_channels: int, generator: torch.Generator, device: str = "cpu") -> None:
        """Draw the weights from N(0, 1 / fan-in).

        Args:
            n_channels: Channels of the image.
            generator: Source of the draw.
            device: "cpu" or "cuda"; see `chosen_device`.
        """
        super().__init__()
        self.n_channels = n_channels
        self.first = torch.nn.ModuleList(torch.nn.Conv2d(n_channels, WIDTHS[0], 3, padding=1) for _ in WINDOWS)
        self.second = torch.nn.ModuleList(torch.nn.Conv2d(WIDTHS[0], WIDTHS[1], 3, padding=1) for _ in WINDOWS)
        n_features = len(WINDOWS) * WIDTHS[1] * (SEEN // 2) ** 2
        self.head = torch.nn.Linear(n_features, N_CONV_EMBEDDING)
        with torch.no_grad():
            for parameter in self.parameters():
                # Drawn in one order on the processor, so that a seed means the same network on every device.
                fan_in = parameter[0].numel()
                drawn = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(drawn / fan_in**0.5 if parameter.ndim > 1 else torch.zeros_like(parameter))
        self.to(device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return embeddings (n, 6) within +-2 of patches (n, channel, 32, 32)."""
        seen = []
        for window, first, second in zip(WINDOWS, self.first, self.second, strict=True):
            edge = (EDGE - window) // 2
            crop = patches[:, :, edge : EDGE - edge, edge : EDGE - edge]
            x = functional.avg_pool2d(crop, window // SEEN) if window > SEEN else crop
            x = functional.avg_pool2d(functional.gelu(first(x)), 2)
            seen.append(functional.gelu(second(x)).flatten(1))
        found: torch.Tensor = BOUND * torch.tanh(self.head(torch.cat(seen, dim=1)))
        return found

    def weights(self) -> dict[str, Float32]:
        """Return all weights by name, as arrays of their own."""
        return {name: p.detach().cpu().numpy().astype(np.float32) for name, p in self.named_parameters()}

    def load(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        """Take over weights.

        Args:
            weights: As `weights` returned, of a network for as many channels.

        Raises:
            InvalidInput: SHAPE_MISMATCH when one is missing or has another shape; NON_FINITE when one is not finite.
                Nothing has then changed.
        """
        own = dict(self.named_parameters())
        for name, parameter in own.items():
            shape = weights[name].shape if name in weights else None
            if shape != tuple(parameter.shape):
                raise InvalidInput(
                    Reason.SHAPE_MISMATCH,
                    f"weights '{name}' have shape {shape}; this network needs {tuple(parameter.shape)}. Start without "
                    "them",
                    field="arrays",
                )
            if not np.isfinite(weights[name]).all():
                raise InvalidInput(
                    Reason.NON_FINITE, f"weights '{name}' are not finite; start without them", field="arrays"
                )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(torch.from_numpy(np.array(weights[name], dtype=np.float32)))


class Patches:
    """The surroundings of pixels of an image."""

    def __init__(self, image: Float32, pixels: NDArray[np.intp]) -> None:
        """Mirror the image at its borders.

        Args:
            image: (channel, y, x) standardised.
            pixels: (candidate, 2) row and column.
        """
        before, after = EDGE // 2, EDGE - EDGE // 2 - 1
        padded = np.pad(image, [(0, 0), (before, after), (before, after)], mode="reflect")
        self._windows = np.lib.stride_tricks.sliding_window_view(padded, (EDGE, EDGE), axis=(1, 2))
        self._pixels = pixels
        self.n_channels = len(image)

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self._pixels)

    def at(self, candidates: NDArray[np.intp] | slice) -> torch.Tensor:
        """Return the patches (m, channel, 32, 32) float32 of candidates (m,)."""
        rows, cols = self._pixels[candidates].T
        picked = np.moveaxis(self._windows[:, rows, cols], 0, 1)
        return torch.from_numpy(np.ascontiguousarray(picked, dtype=np.float32))

    def chunks(self) -> Iterator[slice]:
        """Yield the parts in which all candidates fit into memory."""
        rows = max(CHUNK_BYTES // (4 * EDGE * EDGE * self.n_channels), 1)
        for start in range(0, len(self), rows):
            yield slice(start, min(start + rows, len(self)))


def embed_patches(encoder: Encoder, patches: Patches) -> Float32:
    """Return embeddings (candidate, 6) of all candidates."""
    out = np.empty((len(patches), N_CONV_EMBEDDING), dtype=np.float32)
    with torch.no_grad():
        for part in patches.chunks():
            out[part] = encoder(patches.at(part).to(encoder.device)).cpu().numpy()
    return out


def chosen_device() -> str:
    """Return where networks are to run.

    Raises:
        InvalidInput: FIELD_INVALID when the environment names a device that there is not.
    """
    name = os.environ.get(DEVICE, "cpu")
    if name not in ("cpu", "cuda"):
        raise InvalidInput(
            Reason.FIELD_INVALID, f"{DEVICE} is '{name[:80]}'; it is 'cpu' or 'cuda', or not set", field=DEVICE
        )
    if name == "cuda" and not torch.cuda.is_available():
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"{DEVICE} is 'cuda' and this torch ({torch.__version__}) finds no such device; set it to 'cpu', or "
            "install a driver and a torch with CUDA",
            field=DEVICE,
        )
    return name
