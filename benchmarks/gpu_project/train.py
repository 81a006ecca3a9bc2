"""Trains a small network on the GPU, and tells on which one."""

from __future__ import annotations

import argparse
import json
import os
import time

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--out", required=True)
parser.add_argument("--steps", type=int, default=0, help="how many steps; 0: as many as `--seconds` allow")
parser.add_argument("--seconds", type=float, default=10)
parser.add_argument("--salt", default="")
args = parser.parse_args()

began = time.time()
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(1)
width = 2048 if device == "cuda" else 128
model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)).to(
    device
)
inputs = torch.randn(1024, width, device=device)
wanted = inputs[:, :8].sum(1, keepdim=True)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
losses, steps, until = [], 0, time.monotonic() + args.seconds
while steps < args.steps if args.steps else time.monotonic() < until:
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(inputs), wanted)
    loss.backward()
    optimizer.step()
    steps += 1
    if steps % 50 == 1:
        losses.append(loss.item())  # waits for the GPU

told = {
    "device": device,
    "name": torch.cuda.get_device_name(0) if device == "cuda" else "",
    "devices": torch.cuda.device_count(),
    "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
    "order": os.environ.get("CUDA_DEVICE_ORDER"),
    "steps": steps,
    "first_loss": losses[0],
    "last_loss": loss.item(),
    "began": began,
    "ended": time.time(),
}
with open(args.out, "w") as out:
    json.dump(told, out)
