"""ResNet (He and others 2016) in one dimension, as torchvision spells it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlight.studies.suites.architectures.architecture import Architecture


class BasicBlock(nn.Module):
    """Two convolutions with batch normalisation; one in-place ReLU is called twice, the input added in place."""

    def __init__(self, inputs: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm1d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv1d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm1d(planes)
        self.downsample = None
        if stride != 1 or inputs != planes:
            self.downsample = nn.Sequential(
                nn.Conv1d(inputs, planes, 1, stride=stride, bias=False), nn.BatchNorm1d(planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, channels, positions)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        found: Tensor = self.relu(out)
        return found


class ResNet(nn.Module):
    """A stem with max pools that overlap, blocks, the mean over positions."""

    def __init__(self, planes: int = 24) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(4, planes, 13, padding=6, bias=False)
        self.bn1, self.relu = nn.BatchNorm1d(planes), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool1d(kernel_size=3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(planes, planes), BasicBlock(planes, planes))
        self.layer2 = nn.Sequential(BasicBlock(planes, 32, stride=2), BasicBlock(32, 32))
        self.avgpool, self.fc = nn.AdaptiveAvgPool1d(1), nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a logit for each task; shape (rows, tasks)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.avgpool(self.layer2(self.layer1(x)))
        found: Tensor = self.fc(torch.flatten(x, 1))
        return found


ARCHITECTURE = Architecture(
    "ResNet", ResNet, "after torchvision's resnet.py, in one dimension, fewer channels and layers"
)
