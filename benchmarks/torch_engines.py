"""What one would write in PyTorch: a loop over schedules with a parameter group a layer, or a stacked ensemble."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch.func import functional_call, grad_and_value, replace_all_batch_norm_modules_, stack_module_state, vmap
from torch.nn import functional

from benchmarks.problem import Engine, Problem
from benchmarks.torch_models import build

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


def loop(problem: Problem) -> Engine:
  """One member after another, eagerly."""
  return _loop(problem, lambda model: model)


def compiled_loop(problem: Problem) -> Engine:
  """The same with `torch.compile`."""
  return _loop(problem, torch.compile)


def _loop(problem: Problem, prepared: Callable[[torch.nn.Module], Callable[[torch.Tensor], torch.Tensor]]) -> Engine:
  device = _device()
  images, labels = _on(problem.images, device), _on(problem.labels.astype(np.int64), device)
  batches = _on(problem.batches.astype(np.int64), device)
  start, layers = build(problem)
  start = start.to(device)
  first = copy.deepcopy(start.state_dict())
  forward = prepared(start)

  def run(steps: int) -> np.ndarray:
    losses = torch.empty(len(problem.schedules), steps, device=device)
    for i, schedule in enumerate(problem.schedules):
      start.load_state_dict(first)
      groups = [
        {"params": [p for name, p in start.named_parameters() if layers[name] == layer]}
        for layer in range(len(problem.network.layers))
      ]
      optimizer = torch.optim.Adam(groups, lr=1.0, betas=_BETAS, eps=_EPSILON)
      for t in range(steps):
        for group, rate in zip(optimizer.param_groups, schedule[t], strict=True):
          group["lr"] = float(rate)
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(forward(_scaled(images[batches[t]])), labels[batches[t]])
        loss.backward()
        optimizer.step()
        losses[i, t] = loss.detach()
    return losses.cpu().numpy()

  return run


def stacked(problem: Problem) -> Engine:
  """All members at once: `torch.func.vmap` over stacked parameters, Adam written on the stacks."""
  device = _device()
  images, labels = _on(problem.images, device), _on(problem.labels.astype(np.int64), device)
  batches, schedules = _on(problem.batches.astype(np.int64), device), _on(problem.schedules, device)
  model, layers = build(problem)
  # Running statistics are written in place, which vmap cannot; without them training is the same.
  model = replace_all_batch_norm_modules_(model).to(device)
  members = len(problem.schedules)
  stacks, _ = stack_module_state([copy.deepcopy(model) for _ in range(members)])

  def loss(params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(functional_call(model, params, (x,)), y)

  gradients = vmap(grad_and_value(loss), in_dims=(0, None, None), randomness="error")

  def run(steps: int) -> np.ndarray:
    params = {name: p.detach().clone() for name, p in stacks.items()}
    means = {name: torch.zeros_like(p) for name, p in params.items()}
    squares = {name: torch.zeros_like(p) for name, p in params.items()}
    losses = torch.empty(members, steps, device=device)
    for t in range(steps):
      grads, losses[:, t] = gradients(params, _scaled(images[batches[t]]), labels[batches[t]])
      for name, p in params.items():
        mean, square, g = means[name], squares[name], grads[name]
        mean.lerp_(g, 1 - _BETAS[0])
        square.mul_(_BETAS[1]).addcmul_(g, g, value=1 - _BETAS[1])
        root = (square / (1 - _BETAS[1] ** (t + 1))).sqrt_().add_(_EPSILON)
        rate = schedules[:, t, layers[name]].view(-1, *[1] * (p.ndim - 1))
        p.sub_(rate / (1 - _BETAS[0] ** (t + 1)) * mean / root)
    return losses.cpu().numpy()

  return run


def _device() -> torch.device:
  """The accelerator, if there is one; float32 means float32 there, as for the other engines."""
  torch.backends.cuda.matmul.allow_tf32 = False
  torch.backends.cudnn.allow_tf32 = False
  return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _on(array: np.ndarray, device: torch.device) -> torch.Tensor:
  return torch.from_numpy(array).to(device)


def _scaled(images: torch.Tensor) -> torch.Tensor:
  """u8[B, H, W, C] -> f32[B, C, H, W] in [0, 1]."""
  return images.permute(0, 3, 1, 2).float() / 255
