"""CLIP's ResNet without positional embedding: an image encoder that takes images of any size. It needs torch alone.

The network of Radford et al. (CLIP, ICML 2021), by the names of OpenAI's and open_clip's weights: three convolutions
as stem, average pools where a ResNet has strides, and at the end a pool by attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POSITIONS = "attnpool.positional_embedding"  # of CLIP's weights, not used here


class Bottleneck(nn.Module):
    """A residual block: convolutions of 1, 3 and 1 px, and an average pool before the last where the stride is 2."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int = 1):
        """inputs: channels of the input; the output has 4 x width."""
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU(inplace=True)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.act3 = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential()
            self.downsample.add_module("-1", nn.AvgPool2d(stride))
            self.downsample.add_module("0", nn.Conv2d(inputs, outputs, 1, bias=False))
            self.downsample.add_module("1", nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, 4 width, H / stride, W / stride)."""
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.act2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(self.avgpool(out)))
        out += x if self.downsample is None else self.downsample(x)
        return self.act3(out)


class AttentionPool(nn.Module):
    """CLIP's attention pool without positional embedding: the mean position attends to all positions.

    Equal to CLIP's pool with a positional embedding of zeros, at any size. Of all queries only that of the mean
    position is computed, the others do not reach the output.
    """

    def __init__(self, width: int, heads: int, outputs: int):
        """width: channels of the feature map. outputs: D."""
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) feature map -> (B, D) features."""
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1)
        q, k, v = (
            t.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for t in (self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x))
        )
        return self.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1))


class ModifiedResNet(nn.Module):
    """CLIP's ResNet: (B, 3, H, W) images, normalised, of any size from 32 px on -> (B, D) features."""

    def __init__(self, layers: Sequence[int], output_dim: int, heads: int, width: int = 64):
        """layers: blocks of the four stages. output_dim: D. heads: of the attention pool. width: channels of the stem.

        RN50 is ModifiedResNet([3, 4, 6, 3], 1024, 32, 64).
        """
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.act2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.act3 = nn.ReLU(inplace=True)
        self.avgpool = nn.AvgPool2d(2)
        inputs = width
        for i, blocks in enumerate(layers):
            stage = [Bottleneck(inputs, width << i, stride=2 if i else 1)]
            inputs = (width << i) * Bottleneck.expansion
            stage += [Bottleneck(inputs, width << i) for _ in range(blocks - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*stage))
        self.attnpool = AttentionPool(inputs, heads, output_dim)

    @classmethod
    def from_weights(cls, state: dict[str, Tensor], heads: int | None = None) -> ModifiedResNet:
        """The encoder with these weights, which are used, not copied. Its size is told by their shapes.

        state: by CLIP's names; a positional embedding is left out. heads: None is CLIP's 64 channels for each.
        Raises KeyError or RuntimeError for weights of another architecture.
        """
        state = {k: v for k, v in state.items() if k != POSITIONS}
        width, output_dim = len(state["layer1.0.conv1.weight"]), len(state["attnpool.c_proj.weight"])
        blocks = [len({k.split(".")[1] for k in state if k.startswith(f"layer{i}.")}) for i in range(1, 5)]
        with torch.device("meta"):  # takes no memory, and draws no random numbers
            encoder = cls(blocks, output_dim, heads or width * 32 // 64, width)
        encoder.load_state_dict(state, assign=True)
        return encoder

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, D)."""
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.act2(self.bn2(self.conv2(x)))
        x = self.avgpool(self.act3(self.bn3(self.conv3(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.attnpool(x)
