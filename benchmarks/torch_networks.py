"""The CNN and MobileNetV2 in PyTorch, layer for layer, for ``training_step.py`` to measure beside ours.

It runs in a process of its own, with an interpreter that has PyTorch and needs nothing of ours: it reads lines
``<case> <steps>`` and answers with the seconds and the CPU seconds that so many training steps took.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
from torch import nn


class Stage(nn.Module):
    """Two 3x3 convolutions with batch norm, and a shortcut round them."""

    def __init__(self, channels_in: int, channels: int, first: bool) -> None:
        super().__init__()
        self.halve = nn.Identity() if first else nn.MaxPool2d(2)
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Any) -> Any:
        x = self.halve(x)
        return torch.relu(self.body(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """MobileNetV2's inverted residual."""

    def __init__(self, channels_in: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        grow = _convolution(channels_in, wide, 1) if expansion > 1 else []
        self.body = nn.Sequential(
            *grow,
            *_convolution(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.adds = stride == 1 and channels_in == channels

    def forward(self, x: Any) -> Any:
        return x + self.body(x) if self.adds else self.body(x)


def _convolution(channels_in: int, channels: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU6(inplace=True)]


def cnn(stages: list[int]) -> nn.Module:
    inputs = [1, *stages[:-1]]
    body = [Stage(a, b, i == 0) for i, (a, b) in enumerate(zip(inputs, stages, strict=True))]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(stages[-1], 7))


def mobilenet_v2() -> nn.Module:
    layers, channels_in = _convolution(3, 32, 3, 2), 32
    for expansion, channels, count, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for i in range(count):
            layers.append(Bottleneck(channels_in, channels, stride if i == 0 else 1, expansion))
            channels_in = channels
    layers += _convolution(320, 1280, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 7))


class Case:
    """One network and a step that trains it on one batch in memory."""

    def __init__(self, size: int, batch_size: int, bfloat16: bool, stages: list[int] | None) -> None:
        network = cnn(stages) if stages else mobilenet_v2()
        self.network = network.to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
        pictures = torch.randn(batch_size, 1 if stages else 3, size, size)
        self.pictures = pictures.to(memory_format=torch.channels_last)
        self.labels = torch.randint(0, 7, (batch_size,))
        self.bfloat16 = bfloat16

    def step(self) -> None:
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            answers = self.network(self.pictures)
        nn.functional.cross_entropy(answers.float(), self.labels).backward()
        self.optimizer.step()


def serve(threads: int) -> None:
    """Answer on standard output until standard input ends; the first line gives the cases."""
    torch.set_num_threads(threads)
    cases = {name: Case(**arguments) for name, arguments in json.loads(sys.stdin.readline()).items()}
    for case in cases.values():
        case.step()
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        name, steps = line.rsplit(maxsplit=1)
        began = time.perf_counter(), time.process_time()
        for _ in range(int(steps)):
            cases[name].step()
        print(time.perf_counter() - began[0], time.process_time() - began[1], flush=True)
