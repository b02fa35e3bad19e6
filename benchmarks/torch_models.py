"""The package's networks in PyTorch, the way one writes them there, with the package's weights."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.problem import Problem
from lwlrd_jax.models.architectures.vit import patch_side
from lwlrd_jax.models.network import Params


class MLP(nn.Module):
  """Four dense layers."""

  def __init__(self, shape: tuple[int, int, int], classes: int):
    super().__init__()
    self.dense0, self.dense1 = nn.Linear(math.prod(shape), 1024), nn.Linear(1024, 1024)
    self.dense2, self.dense3 = nn.Linear(1024, 1024), nn.Linear(1024, classes)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """f32[N, C, H, W] in [0, 1] -> f32[N, K]."""
    x = (2 * x - 1).permute(0, 2, 3, 1).flatten(1)
    x = torch.relu(self.dense0(x))
    x = torch.relu(self.dense1(x))
    return self.dense3(torch.relu(self.dense2(x)))


class CNN(nn.Module):
  """Strided convolutions down to 8 x 8, three dense layers."""

  def __init__(self, shape: tuple[int, int, int], classes: int):
    super().__init__()
    side, channels = shape[0], shape[2]
    convolutions: list[nn.Module] = []
    while side > 8:
      outputs = 64 if convolutions else 32
      convolutions.append(nn.Conv2d(channels, outputs, 4, 2, 1))
      side, channels = (side + 1) // 2, outputs
    for i, convolution in enumerate(convolutions):
      self.add_module(f"conv{i}", convolution)
    self.count = len(convolutions)
    self.dense0, self.dense1 = nn.Linear(side**2 * channels, 1024), nn.Linear(1024, 1024)
    self.dense2 = nn.Linear(1024, classes)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """f32[N, C, H, W] in [0, 1] -> f32[N, K]."""
    x = 2 * x - 1
    for i in range(self.count):
      odd = x.shape[-1] % 2
      x = torch.relu(self.get_submodule(f"conv{i}")(functional.pad(x, (0, odd, 0, odd))))
    x = x.permute(0, 2, 3, 1).flatten(1)
    x = torch.relu(self.dense0(x))
    return self.dense2(torch.relu(self.dense1(x)))


class Block(nn.Module):
  """Two convolutions beside a shortcut."""

  def __init__(self, inputs: int, outputs: int, stride: int):
    super().__init__()
    self.conv0, self.norm0 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
    self.conv1, self.norm1 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
    self.projects = stride > 1 or inputs != outputs
    if self.projects:
      self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
      self.shortcut_norm = nn.BatchNorm2d(outputs)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """f32[N, C, H, W] -> f32[N, C', H', W']."""
    y = self.norm1(self.conv1(torch.relu(self.norm0(self.conv0(x)))))
    return torch.relu(y + (self.shortcut_norm(self.shortcut(x)) if self.projects else x))


class ResNet18(nn.Module):
  """Below 64 pixels a stem as for CIFAR, from there on the usual one."""

  def __init__(self, shape: tuple[int, int, int], classes: int):
    super().__init__()
    self.large = shape[0] >= 64
    size, stride = (7, 2) if self.large else (3, 1)
    self.stem, self.norm = nn.Conv2d(shape[2], 64, size, stride, size // 2, bias=False), nn.BatchNorm2d(64)
    self.blocks, inputs = nn.ModuleList(), 64
    for stage in range(4):
      for number in range(2):
        self.blocks.append(Block(inputs, 64 * 2**stage, 2 if stage and not number else 1))
        inputs = 64 * 2**stage
    self.head = nn.Linear(512, classes)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """f32[N, C, H, W] in [0, 1] -> f32[N, K]."""
    x = torch.relu(self.norm(self.stem(2 * x - 1)))
    if self.large:
      x = functional.max_pool2d(x, 3, 2, 1)
    for block in self.blocks:
      x = block(x)
    return self.head(x.mean(dim=(2, 3)))


class Attention(nn.Module):
  """Every token looks at all tokens."""

  def __init__(self, width: int, heads: int):
    super().__init__()
    self.heads = heads
    self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
    self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """f32[N, T, width] -> f32[N, T, width]."""
    q, k, v = (m(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for m in (self.query, self.key, self.value))
    return self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Layer(nn.Module):
  """Attention, then two dense layers, each added to what it read, normalised."""

  def __init__(self, width: int, heads: int, hidden: int):
    super().__init__()
    self.norm0, self.norm1 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
    self.attention = Attention(width, heads)
    self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """f32[N, T, width] -> f32[N, T, width]."""
    x = x + self.attention(self.norm0(x))
    return x + self.down(functional.gelu(self.up(self.norm1(x)), approximate="tanh"))


class ViT(nn.Module):
  """Patches as tokens, the mean token classifies."""

  def __init__(self, shape: tuple[int, int, int], classes: int, width: int, depth: int, heads: int, hidden: int):
    super().__init__()
    self.patch = patch_side(shape[0])
    self.grid = -(-shape[0] // self.patch)
    self.embedding = nn.Linear(self.patch**2 * shape[2], width)
    self.position = nn.Parameter(torch.zeros(self.grid**2, width))
    self.blocks = nn.ModuleList([Layer(width, heads, hidden) for _ in range(depth)])
    self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, classes)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """f32[N, C, H, W] in [0, 1] -> f32[N, K]."""
    beyond, side = self.grid * self.patch - x.shape[-1], self.patch
    x = functional.pad(2 * x - 1, (0, beyond, 0, beyond))
    x = x.unflatten(3, (self.grid, side)).unflatten(2, (self.grid, side)).permute(0, 2, 4, 3, 5, 1)
    x = self.embedding(x.reshape(len(x), self.grid**2, -1)) + self.position
    for block in self.blocks:
      x = block(x)
    return self.head(self.norm(x).mean(dim=1))


def build(problem: Problem) -> tuple[nn.Module, dict[str, int]]:
  """The problem's network in PyTorch, and the number of each parameter's layer."""
  shape, classes = problem.network.image_shape, problem.network.num_outputs
  kinds: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: MLP(shape, classes),
    "cnn": lambda: CNN(shape, classes),
    "resnet18": lambda: ResNet18(shape, classes),
    "vit": lambda: ViT(shape, classes, 384, 7, 12, 1152),
    "vit-small": lambda: ViT(shape, classes, 192, 4, 4, 576),
  }
  made = kinds[problem.name]()
  arrays = _arrays(problem.params, problem.network.layers)
  layers = {}
  with torch.no_grad():
    for name, parameter in made.named_parameters():
      layer, array = arrays.pop(name)
      parameter.copy_(torch.from_numpy(np.array(array)))
      layers[name] = layer
  if arrays:
    raise ValueError(f"not in the PyTorch network: {sorted(arrays)}")
  return made, layers


def _arrays(params: Params, layers: tuple[str, ...]) -> dict[str, tuple[int, np.ndarray]]:
  """Every array as PyTorch names and turns it, with the number of its layer."""
  found = {}
  for number, layer in enumerate(layers):
    for entry, array in params[layer].items():
      name = {"kernel": "weight", "scale": "weight"}.get(entry, entry)
      if layer == "position":
        found[layer] = (number, array)
        continue
      turned = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
      found[f"{layer}.{name}"] = (number, turned)
  return found
