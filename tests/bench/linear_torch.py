#!/usr/bin/env python3
# Contestant: what a user of PyTorch writes for these cells, on one thread. The protocol is that of linear.h:
# linear_torch.py WAY CELL MODE T P Q, where WAY is "steps" (a loop over steps), "chunks" (chunks of 64 steps as matrix products), or
# "scan" (torch.associative_scan). Without arguments it only says which version there is.
import sys, time

if len(sys.argv) > 1:
    way, cell, mode = sys.argv[1:4]
    T, P, Q = map(int, sys.argv[4:7])
    training = mode == "training"
    matrix = cell in ("gla", "gated_deltanet", "mlstm")
    long = T > 1024 * (1 if matrix else 4) if way == "steps" else way == "scan" and T * P * Q > 1 << 24
    if long or (way == "chunks") > (matrix and mode != "step") or (way == "scan" and matrix):
        print("skip too long for it" if long else "skip it is not for this cell")
        sys.exit(1)
import numpy, torch
import torch.nn.functional as F
from arrays import digest, draw

if len(sys.argv) == 1:
    print(torch.__version__)
    sys.exit(0)
torch.set_num_threads(1)
C = 64

shapes = {  # inputs and parameters, then the output, as in linear.h
    "scan": [("a", (T, P), 0.5, 1), ("b", (T, P), -1, 1), ("h", (T, P), -1, 1)],
    "mamba": [("x", (T, P), -1, 1), ("dt", (T, P), -1, 1), ("B", (T, Q), -1, 1), ("C", (T, Q), -1, 1), ("z", (T, P), -1, 1),
              ("A_log", (P, Q), 0, 2.77), ("dt_bias", (P,), -6.9, -2.25), ("skip", (P,), 0.5, 1.5), ("y", (T, P), -1, 1)],
    "gla": [("q", (T, P), -1, 1), ("k", (T, P), -1, 1), ("v", (T, Q), -1, 1), ("g", (T, P), -2, 4), ("y", (T, Q), -1, 1)],
    "gated_deltanet": [("q", (T, P), -1, 1), ("k", (T, P), -1, 1), ("v", (T, Q), -1, 1), ("a", (T,), -1, 1), ("b", (T,), -2, 2),
                       ("A_log", (1,), 0, 2.77), ("dt_bias", (1,), -6.9, -2.25), ("y", (T, Q), -1, 1)],
    "mlstm": [("q", (T, P), -1, 1), ("k", (T, P), -1, 1), ("v", (T, Q), -1, 1), ("i", (T,), -2, 2), ("f", (T,), 0, 4),
              ("y", (T, Q), -1, 1)],
}


# ---- loops over steps ----


def scan_steps(a, b):
    h, out = torch.zeros(P), []
    for at, bt in zip(a.unbind(), b.unbind()):
        h = torch.addcmul(bt, at, h)
        out.append(h)
    return torch.stack(out)


def mamba_terms(x, dt, B, A_log, dt_bias):
    step = F.softplus(dt + dt_bias)
    return torch.exp(step[:, :, None] * -torch.exp(A_log)), (step * x)[:, :, None] * B[:, None]


def mamba_steps(x, dt, B, C, z, A_log, dt_bias, skip):
    h, out = torch.zeros(P, Q), []
    for decay, taken, c in zip(*(s.unbind() for s in mamba_terms(x, dt, B, A_log, dt_bias)), C.unbind()):
        h = torch.addcmul(taken, decay, h)
        out.append(h @ c)
    return (torch.stack(out) + skip * x) * F.silu(z)


def gla_steps(q, k, v, g):
    S, out = torch.zeros(P, Q), []
    alpha = torch.exp(F.logsigmoid(g) / 16)
    for qt, kt, vt, at in zip(q.unbind(), k.unbind(), v.unbind(), alpha.unbind()):
        S = at[:, None] * S + torch.outer(kt, vt)
        out.append(qt @ S)
    return P ** -0.5 * torch.stack(out)


def unit(x):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def log_decay(a, A_log, dt_bias):
    return -torch.exp(A_log) * F.softplus(a + dt_bias)


def gated_deltanet_steps(q, k, v, a, b, A_log, dt_bias):
    S, out = torch.zeros(P, Q), []
    alpha, beta = torch.exp(log_decay(a, A_log, dt_bias)), torch.sigmoid(b)
    for qt, kt, vt, at, bt in zip(unit(q).unbind(), unit(k).unbind(), v.unbind(), alpha.unbind(), beta.unbind()):
        S = at * S
        S = S + torch.outer(kt, bt * (vt - kt @ S))
        out.append(qt @ S)
    return P ** -0.5 * torch.stack(out)


def mlstm_steps(q, k, v, i, f):
    S, n, m, out = torch.zeros(P, Q), torch.zeros(P), torch.tensor(-float("inf")), []
    for qt, kt, vt, it, ft in zip((P ** -0.5 * q).unbind(), k.unbind(), v.unbind(), i.unbind(), F.logsigmoid(f).unbind()):
        old = ft + m
        m = torch.maximum(old, it)
        keep, take = torch.exp(old - m), torch.exp(it - m)
        S = keep * S + take * torch.outer(kt, vt)
        n = keep * n + take * kt
        out.append((qt @ S) / torch.maximum((n @ qt).abs(), torch.exp(-m)))
    return torch.stack(out)


# ---- chunks; T is a multiple of C ----


def cut(x):
    return x.reshape(T // C, C, *x.shape[1:])


def gla_chunks(q, k, v, g):
    q, k, v = cut(q), cut(k), cut(v)
    G = cut(F.logsigmoid(g) / 16).cumsum(1)
    whole = G[:, -1:]
    q = q * torch.exp(G)
    inside = torch.tril(q @ (k * torch.exp(-G)).mT) @ v
    written = (k * torch.exp(whole - G)).mT @ v
    S, states = torch.zeros(P, Q), []
    for decay, new in zip(torch.exp(whole).mT.unbind(), written.unbind()):
        states.append(S)
        S = decay * S + new
    return P ** -0.5 * (inside + q @ torch.stack(states)).reshape(T, Q)


def gated_deltanet_chunks(q, k, v, a, b, A_log, dt_bias):
    q, k, v, beta = cut(unit(q)), cut(unit(k)), cut(v), cut(torch.sigmoid(b))[:, :, None]
    G = cut(log_decay(a, A_log, dt_bias)).cumsum(1)
    apart = torch.tril(G[:, :, None] - G[:, None, :])
    inside = torch.exp(apart)
    G = G[:, :, None]
    lower = torch.eye(C) + torch.tril(beta * (k @ k.mT) * inside, -1)
    solved = torch.linalg.solve_triangular(lower, torch.cat([beta * v, beta * torch.exp(G) * k], -1), upper=False, unitriangular=True)
    value, key = solved.split([Q, P], -1)
    read = torch.tril((q @ k.mT) * inside)
    kept, q = k * torch.exp(G[:, -1:] - G), q * torch.exp(G)
    S, out = torch.zeros(P, Q), []
    for c in range(T // C):
        u = value[c] - key[c] @ S
        out.append(q[c] @ S + read[c] @ u)
        S = torch.exp(G[c, -1]) * S + kept[c].mT @ u
    return P ** -0.5 * torch.cat(out)


def mlstm_chunks(q, k, v, i, f):
    q, k, v, i = cut(P ** -0.5 * q), cut(k), cut(v), cut(i)
    G = cut(F.logsigmoid(f)).cumsum(1)
    v = torch.cat([v, torch.ones(T // C, C, 1)], -1)  # the normaliser is one more column
    scores, before = q @ k.mT, torch.ones(C, C).tril() == 0
    S, m, out = torch.zeros(P, Q + 1), torch.tensor(-1e30), []
    for c in range(T // C):
        g, gain = G[c], i[c] - G[c]
        top = g + torch.maximum(m, gain.cummax(0).values)
        inside = torch.exp((g[:, None] + gain - top[:, None]).masked_fill(before, -float("inf")))
        read = (scores[c] * inside) @ v[c] + torch.exp(g + m - top)[:, None] * (q[c] @ S)
        out.append(read[:, :-1] / torch.maximum(read[:, -1:].abs(), torch.exp(-top)[:, None]))
        S = torch.exp(g[-1] + m - top[-1]) * S + (k[c] * torch.exp(g[-1] + gain - top[-1])[:, None]).mT @ v[c]
        m = top[-1]
    return torch.cat(out)


# ---- associative scans ----


def affine_scan(a, b):
    from torch._higher_order_ops.associative_scan import associative_scan
    return associative_scan(lambda x, y: (x[0] * y[0], y[0] * x[1] + y[1]), (a, b), 0, combine_mode="generic")[1]


def scan_scan(a, b):
    return affine_scan(a, b)


def mamba_scan(x, dt, B, C, z, A_log, dt_bias, skip):
    h = affine_scan(*mamba_terms(x, dt, B, A_log, dt_bias))
    return ((h @ C[:, :, None])[:, :, 0] + skip * x) * F.silu(z)


arrays = [torch.from_numpy(draw(i, int(numpy.prod(s)), low, high).reshape(s)) for i, (_, s, low, high) in enumerate(shapes[cell])]
given, cotangent = arrays[:-1], arrays[-1]
expression = globals()["%s_%s" % (cell, way)]
for x in given:
    x.requires_grad_(training)


def once():
    if not training:
        with torch.inference_mode():
            return expression(*given)
    for x in given:
        x.grad = None
    y = expression(*given)
    y.backward(cotangent)
    return y


def seconds(n):
    if n > 1:
        once()
    times = []
    for _ in range(n):
        start = time.process_time()
        once()
        times.append(time.process_time() - start)
    times.sort()
    return (times[n // 2] + times[(n - 1) // 2]) / 2


print("ready", torch.__version__, flush=True)
for line in sys.stdin:
    if line.startswith("run"):
        print("time %.9f" % seconds(int(line.split()[1])), flush=True)
    else:
        print("digest", digest([once()] + [x.grad for x in given if training]), flush=True)
