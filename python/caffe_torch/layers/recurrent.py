"""LSTM and RNN (BVLC: recurrent_layer.cpp, lstm_layer.cpp, lstm_unit_layer.cpp, rnn_layer.cpp).

The first bottom is a sequence (T, N, ...) of N streams side by side, the second (T, N) is 0 where one begins anew and 1
where it goes on; a third (N, ...) is the same at all times. With `expose_hidden` the state before the first time is a
bottom, and the state after the last a top; else each pass goes on from the state of the one before, which starts as
zeros and is in no snapshot. As in Caffe no gradient flows through a state that is a bottom or a top, from pass to pass,
or to the second bottom.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_torch.layers.layer import Layer, Shape


class _Recurrent(Layer):
    """What both share; `states` of a stream are (N, num_output) each."""

    states = 1
    gates = 1  # outputs of the weights for each of num_output
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.recurrent_param
        sequence, going_on, *others = (tuple(shape) for shape in bottoms)
        if not settings.num_output:
            raise self.refuse("needs a num_output")
        if len(sequence) < 3 or going_on != sequence[:2]:
            raise self.refuse(f"bottoms {sequence} and {going_on}; they are (times, streams, ...) and (times, streams)")
        self.width, self.streams, self.exposes = settings.num_output, sequence[1], settings.expose_hidden
        given = others[len(others) - self.states :] if self.exposes else []
        if any(shape != (1, self.streams, self.width) for shape in given):
            raise self.refuse(f"states {given}; each is {(1, self.streams, self.width)}")
        constant = others[: len(others) - len(given)]
        if constant and (len(constant[0]) < 2 or constant[0][0] != self.streams):
            raise self.refuse(f"third bottom {constant[0]} for {self.streams} streams")
        self.has_constant = bool(constant)
        outputs = self.gates * self.width
        self.add_blob((outputs, math.prod(sequence[2:])), settings.weight_filler)
        self.add_blob((outputs,), settings.bias_filler)
        if constant:
            self.add_blob((outputs, math.prod(constant[0][1:])), settings.weight_filler)
        self.add_blob((outputs, self.width), settings.weight_filler)
        self.kept: list[Tensor] | None = None

    def forward(self, sequence: Tensor, going_on: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        constant = others[:1] if self.has_constant else ()
        from_input, bias, *of_constant, from_state = self.blobs[: 3 + self.has_constant]
        inputs = F.linear(sequence.flatten(2), from_input, bias)
        if constant:
            inputs = inputs + F.linear(constant[0].flatten(1), of_constant[0])
        state = self._before(sequence, others[len(constant) :])
        outputs = []
        for of_time, goes_on in zip(inputs, going_on.detach().unsqueeze(-1)):
            output, *state = self.step(of_time + F.linear(goes_on * state[0], from_state), goes_on, state)
            outputs.append(output)
        if not sequence.is_meta:  # where the net asks for shapes alone
            self.kept = [each.detach().clone() for each in state]
        return (torch.stack(outputs), *(each[None].detach() for each in state if self.exposes))

    def step(self, gates: Tensor, goes_on: Tensor, state: list[Tensor]) -> tuple[Tensor, ...]:
        """One time's output and state, of the state before it."""
        raise self.refuse("has no step")

    def _before(self, sequence: Tensor, given: tuple[Tensor, ...]) -> list[Tensor]:
        if self.exposes:
            return [each[0].detach() for each in given]
        if self.kept is None or sequence.is_meta or self.kept[0].shape[0] != sequence.shape[1]:
            return [sequence.new_zeros(sequence.shape[1], self.width) for _ in range(self.states)]
        return [each.to(sequence.device, sequence.dtype).clone() for each in self.kept]  # out of inference mode

    def _check_counts(self) -> None:
        hidden = self.states * self.param.recurrent_param.expose_hidden
        self.takes, self.gives = (2 + hidden, 3 + hidden), (1 + hidden, 1 + hidden)
        super()._check_counts()


class LSTM(_Recurrent):
    """Gates in the order input, forget, output, and what is taken in; states h and c."""

    states, gates = 2, 4

    def step(self, gates: Tensor, goes_on: Tensor, state: list[Tensor]) -> tuple[Tensor, ...]:
        takes, keeps, gives, new = gates.chunk(4, dim=1)
        cell = goes_on * torch.sigmoid(keeps) * state[1] + torch.sigmoid(takes) * torch.tanh(new)
        output = torch.sigmoid(gives) * torch.tanh(cell)
        return output, output, cell


class RNN(_Recurrent):
    """tanh for the state h, and again, behind weights of its own, for the output."""

    def set_up(self, bottoms: list[Shape]) -> None:
        super().set_up(bottoms)
        settings = self.param.recurrent_param
        self.add_blob((self.width, self.width), settings.weight_filler)
        self.add_blob((self.width,), settings.bias_filler)

    def step(self, gates: Tensor, goes_on: Tensor, state: list[Tensor]) -> tuple[Tensor, ...]:
        state = torch.tanh(gates)
        return torch.tanh(F.linear(state, *self.blobs[-2:])), state
