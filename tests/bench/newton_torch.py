#!/usr/bin/env python3
# What a user of PyTorch writes for ParaGRU and ParaLSTM: a loop over steps, on one thread.
# newton_torch.py CELL T B H prints the ms of forward (without gradients) and of training. Without arguments: its version.
import sys, time
import torch

if len(sys.argv) == 1:
    print(torch.__version__)
    sys.exit(0)
torch.set_num_threads(1)
cell, (T, B, H) = sys.argv[1], map(int, sys.argv[2:5])
x = torch.rand(T, B, 1) * 3.4 - 1.7
W, a, b, p = (torch.rand(k, H) - 0.5 for k in (3, 3, 3, 2))
dh = torch.rand(T, B, H)


def gru(x):
    h, out = torch.zeros(B, H), []
    z0, r0, n0 = ((W[k] * x + b[k]).unbind() for k in range(3))
    for t in range(T):
        z = torch.sigmoid(torch.addcmul(z0[t], a[0], h))
        r = torch.sigmoid(torch.addcmul(r0[t], a[1], h))
        n = torch.tanh(torch.addcmul(n0[t], a[2], h * r))
        h = torch.lerp(h, n, z)
        out.append(h)
    return torch.stack(out)


def lstm(x):
    h, c, out = torch.zeros(B, H), torch.zeros(B, H), []
    f0, o0, n0 = ((W[k] * x + b[k]).unbind() for k in range(3))
    for t in range(T):
        f = torch.sigmoid(f0[t] + a[0] * h + p[0] * c)
        n = torch.tanh(torch.addcmul(n0[t], a[2], h))
        c = torch.lerp(n, c, f)
        h = torch.sigmoid(o0[t] + a[1] * h + p[1] * c) * torch.tanh(c)
        out.append(h)
    return torch.stack(out)


run = {"para_gru": gru, "para_lstm": lstm}[cell]


def forward():
    with torch.no_grad():
        run(x)


def training():
    leaves = [v.requires_grad_() for v in (x, W, a, b, p)]
    torch.autograd.grad((run(x) * dh).sum(), leaves, allow_unused=True)


def median(f):
    times = []
    began = time.process_time()
    while len(times) < 5 and (not times or time.process_time() - began < 2):
        start = time.process_time()
        f()
        times.append(time.process_time() - start)
    return sorted(times)[len(times) // 2] * 1e3


print("%.4g %.4g" % (median(forward), median(training)))
