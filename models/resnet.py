"""ResNet for small images (1512.03385, section 4.2): 6 n + 2 layers, the shortcuts without parameters (its option A).

    (batch, c, h, w) -> conv3 16, BN, ReLU -> three stages of n blocks, 16, 32, 64 channels, the last two halving the sides
      block: x + [conv3, BN, ReLU, conv3, BN], then ReLU; where a stage begins, every other pixel of x, new channels 0
      -> mean over the map -> classes

n = 3 is ResNet-20: 269,722 parameters on CIFAR-10 (0.27 M in the paper); images under 32 pixels get n = 1.
Batch statistics are state, so seeds train one by one.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from datasets.task import Task
from models import Takes, Unsupported, register
from models.sizes import photograph

IMAGES = Takes("image", ("value", "classes"), "convolves an image", "answers with one vector per image")


class Residual(nn.Module):
    """One block, (batch, inputs, h, w) -> (batch, outputs, h / stride, w / stride), rounded up."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.new = stride, outputs - inputs
        self.first, self.second = (
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])

    def forward(self, x: Tensor) -> Tensor:
        h = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        if self.new or self.stride > 1:
            before = self.new // 2
            x = F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.new - before))
        return F.relu(x + h)


@register(family="convolution", takes=IMAGES)
def resnet(task: Task, *, blocks: int | None = None, channels: int = 16) -> nn.Sequential:
    blocks = blocks or (3 if photograph(task) else 1)
    if min(task.input.shape[1:]) < 4:
        raise Unsupported(f"halves an image twice; {task.input.shape[1]}×{task.input.shape[2]} pixels leave nothing to convolve")
    widths = [channels, channels, 2 * channels, 4 * channels]
    stem = [nn.Conv2d(task.input.shape[0], channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    stages = [
        Residual(widths[stage] if block == 0 else widths[stage + 1], widths[stage + 1], 2 if stage and block == 0 else 1)
        for stage in range(3)
        for block in range(blocks)
    ]
    net = nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[3], task.output.size))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):  # He's, as the paper starts them
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return net
