"""Pooling, by Caffe's rules for windows that reach over the edge."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caffe_torch.layers.layer import Layer, Shape


class Pooling(Layer):
    """MAX and AVE over N x C x H x W (BVLC: pooling_layer.cpp).

    The number of windows is rounded up (or down, with round_mode FLOOR); with padding, a last window that would start
    beyond the image and its first padding is left out, without padding it stays, empty. AVE divides by the size of the
    window clipped to the image with its padding. An empty window's maximum is the least float. A second top of MAX has
    the place of each maximum in its image, counted row by row; -1 for an empty window.
    """

    takes, gives = (1, 1), (1, 2)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.pooling_param
        if len(bottoms[0]) != 4:
            raise self.refuse(f"works on N x C x H x W alone, not on {tuple(bottoms[0])}")
        if settings.pool not in (settings.MAX, settings.AVE):
            raise self.refuse("stochastic pooling is not supported; use MAX or AVE")
        self.is_maximum = settings.pool == settings.MAX
        if self.top_count > 1 and not self.is_maximum:
            raise self.refuse("2 tops where it gives 1; only MAX has places")
        self.sides = tuple(bottoms[0][2:])
        self.whole = settings.global_pooling
        if self.whole and any(settings.HasField(f"kernel_{each}") for each in ("size", "h", "w")):
            raise self.refuse("global pooling has no kernel of its own")
        self.kernel = self.sides if self.whole else self._pair("kernel", settings.kernel_size, "kernel_size")
        self.stride = self._pair("stride", settings.stride, "stride")
        self.pad = self._pair("pad", settings.pad, "pad")
        if min(self.kernel) < 1 or min(self.stride) < 1:
            raise self.refuse(f"kernel {self.kernel}, stride {self.stride}")
        if any(pad >= kernel for pad, kernel in zip(self.pad, self.kernel)):
            raise self.refuse(f"padding {self.pad} must be less than the kernel {self.kernel}")
        if self.whole and (self.pad != (0, 0) or self.stride != (1, 1)):
            raise self.refuse("global pooling has neither padding nor stride")

    def _pair(self, name: str, both: int, field: str) -> tuple[int, int]:
        settings = self.param.pooling_param
        of_height, of_width = f"{name}_h", f"{name}_w"
        if settings.HasField(of_height) or settings.HasField(of_width):
            if settings.HasField(field):
                raise self.refuse(f"{name} is given twice")
            return getattr(settings, of_height), getattr(settings, of_width)
        return both, both

    def windows(self, height: int, width: int) -> tuple[int, int]:
        """How many windows there are down and across."""
        settings, found = self.param.pooling_param, []
        for side, kernel, stride, pad in zip((height, width), self.kernel, self.stride, self.pad):
            room = side + 2 * pad - kernel
            rounded = -(-room // stride) if settings.round_mode == settings.CEIL else room // stride
            found.append(rounded + 1)
        if any(self.pad):
            found = [
                count - 1 if (count - 1) * stride >= side + pad else count
                for count, side, stride, pad in zip(found, (height, width), self.stride, self.pad)
            ]
        if min(found) < 1:
            raise self.refuse(f"its kernel {self.kernel} is larger than the {height} x {width} that it gets")
        return found[0], found[1]

    def forward(self, bottom: Tensor) -> tuple[Tensor, ...]:
        height, width = bottom.shape[2:]
        if self.whole:
            self.kernel = (height, width)
        windows = self.windows(height, width)
        over = [
            max(0, (count - 1) * stride + kernel - side - pad)
            for count, stride, kernel, side, pad in zip(windows, self.stride, self.kernel, (height, width), self.pad)
        ]
        edges = (self.pad[1], over[1], self.pad[0], over[0])
        self.check_size((*bottom.shape[:2], height + self.pad[0] + over[0], width + self.pad[1] + over[1]))
        if self.top_count > 1:
            return self._with_places(bottom, windows, edges)
        if self.is_maximum and self._is_usual(windows, (height, width)):
            return (F.max_pool2d(bottom, self.kernel, self.stride, self.pad, ceil_mode=True),)
        if self.is_maximum:
            padded = F.pad(bottom, edges, value=torch.finfo(bottom.dtype).min) if any(edges) else bottom
            top = F.max_pool2d(padded, self.kernel, self.stride)
        else:
            padded = F.pad(bottom, edges) if any(edges) else bottom
            top = F.avg_pool2d(padded, self.kernel, self.stride, divisor_override=1)
            top = top / self._sizes(windows, (height, width), bottom)
        return (top[:, :, : windows[0], : windows[1]],)

    def _with_places(
        self, bottom: Tensor, windows: tuple[int, int], edges: tuple[int, int, int, int]
    ) -> tuple[Tensor, Tensor]:
        """The maxima, and where they are."""
        height, width = bottom.shape[2:]
        padded = F.pad(bottom, edges, value=torch.finfo(bottom.dtype).min)
        top, places = F.max_pool2d(padded, self.kernel, self.stride, return_indices=True)
        row, column = places // padded.shape[3] - self.pad[0], places % padded.shape[3] - self.pad[1]
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        places = torch.where(inside, row * width + column, -1).to(bottom.dtype)
        return tuple(each[:, :, : windows[0], : windows[1]] for each in (top, places))

    def _is_usual(self, windows: tuple[int, int], sides: tuple[int, int]) -> bool:
        """Whether PyTorch's own maximum has the same windows: rounded up, each with a part of the image."""
        return self.param.pooling_param.round_mode == self.param.pooling_param.CEIL and all(
            (count - 1) * stride < side + pad and 2 * pad <= kernel
            for count, stride, kernel, pad, side in zip(windows, self.stride, self.kernel, self.pad, sides)
        )

    def _sizes(self, windows: tuple[int, int], sides: tuple[int, int], like: Tensor) -> Tensor:
        """Of each window, how many pixels of the image with its padding it has, as Caffe counts: not clipped at 0."""
        lengths = []
        for count, stride, kernel, side, pad in zip(windows, self.stride, self.kernel, sides, self.pad):
            start = torch.arange(count, device=like.device) * stride - pad
            lengths.append(torch.clamp(start + kernel, max=side + pad) - start)
        return (lengths[0][:, None] * lengths[1][None, :]).to(like.dtype)


class SPP(Layer):
    """Spatial pyramid pooling: 1, 4, 16, ... windows that cover the image, `pyramid_height` times, as one vector,
    N x C x 1 x 1 where it is once (BVLC: spp_layer.cpp). Bottoms N x C x H x W."""

    takes = gives = (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.spp_param
        if len(bottoms[0]) != 4 or not 1 <= settings.pyramid_height <= 16:
            raise self.refuse(f"{settings.pyramid_height} levels of {tuple(bottoms[0])}; N x C x H x W, and at least 1")
        self.levels = nn.ModuleList()
        for level in range(settings.pyramid_height):
            param = type(self.param)(name=self.name, type="Pooling", bottom=self.param.bottom, top=self.param.top)
            pooling = param.pooling_param
            pooling.pool = settings.pool
            for name, side in zip("hw", bottoms[0][2:]):
                kernel = -(-side // 2**level)
                setattr(pooling, f"kernel_{name}", kernel)
                setattr(pooling, f"stride_{name}", kernel)
                setattr(pooling, f"pad_{name}", (kernel * 2**level - side + 1) // 2)
            self.levels.append(Pooling(param, self.phase, bottoms))

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        tops = [level(bottom)[0] for level in self.levels]
        return (tops[0] if len(tops) == 1 else torch.cat([top.flatten(1) for top in tops], 1),)
