#!/usr/bin/env python3
# Contestant: what a user of PyTorch writes for the cells of `grids`, on BENCH_THREADS threads (1). The protocol is that of linear.h, the arrays
# are those of grids.h: grids_torch.py WAY CELL MODE T P Q, where WAY is
#   nodes      a loop over places or nodes, with all that does not need the state as one product before it
#   waves      a loop over anti-diagonals of a grid, over levels of all trees together
#   published  pLSTM's published code (PLSTM: a folder of its repository), at its best cut-off
# Without arguments it only says which version there is.
import os, resource, sys, time, types
import numpy, torch
from arrays import digest, draw

if len(sys.argv) == 1:
    print(torch.__version__)
    sys.exit(0)
threads = int(os.environ.get("BENCH_THREADS", 1))
clock = time.perf_counter if threads > 1 else time.process_time
torch.set_num_threads(threads)
resource.setrlimit(resource.RLIMIT_DATA, (12 << 30, 12 << 30))
way, cell, mode = sys.argv[1:4]
T, P, Q = map(int, sys.argv[4:7])
training = mode == "training"
K, H, TREE, MOST_TREES = 16, 64, 50, 50

grid, w = (T, P, Q), (-0.12, 0.12)
shapes = {  # inputs and parameters, then the output, as in grids.h
    "plstm_grid": [(grid + (K,), -1, 1)] * 3 + [(grid + (2,), 0, 1), (grid + (2, 2), 0.2, 0.5), (grid + (2,), 0, 1), (grid + (K,), -1, 1)],
    "mdlstm_plain": [(grid + (H,), -1, 1), ((5, H, H), *w), ((2, 5, H, H), *w), ((5, H), -1, 0), (grid + (H,), -1, 1)],
    "tree_lstm": [((T * P, H), -1, 1), ((3, H, H), *w), ((3, H, H), *w), ((3, H), -0.1, 0.1), ((H, H), *w), ((H, H), *w), ((H,), -1, 0),
                  ((T * P, H), -1, 1)],
}


# ---- grids by anti-diagonals ----


def skew(x):  # [T, P, ...] to [T + P - 1, T, ...]: a row for each diagonal
    x = torch.cat((x, x.new_zeros(T, T, *x.shape[2:])), 1).flatten(0, 1)
    return x[: T * (T + P - 1)].unflatten(0, (T, T + P - 1)).transpose(0, 1).contiguous()


def unskew(diagonals):  # of each, the rows that are inside, from first_row on
    whole = []
    for d, x in enumerate(diagonals):
        first, last = rows(d)
        whole.append(torch.nn.functional.pad(x, (0, 0) * (x.dim() - 1) + (first, T - last)))
    x = torch.stack(whole, 1).flatten(0, 1)
    return torch.cat((x, x.new_zeros(T, *x.shape[1:]))).unflatten(0, (T, T + P))[:, :P]


def rows(d):
    return max(0, d - P + 1), min(T, d + 1)


def neighbours(h, d):  # what stands above and to the left of each place of diagonal d; h: of the diagonal before
    first, last = rows(d)
    border = h.new_zeros(1, *h.shape[1:])
    h = torch.cat(([border] if first == 0 else []) + [h] + ([border] if last == d + 1 else []))
    return h[:-1], h[1:]


# ---- pLSTM ----


def plstm_terms(k, v, source, transition):  # of [right, down]: what is written, and how the old two go on
    written = source[..., None] * (v[..., :, None] * k[..., None, :]).flatten(-2)[..., None, :]
    return written, transition


def plstm_read(q, mark, old):  # old: [T, P, Q, 2, K * K]
    return (torch.einsum("...a,...ax->...x", mark, old).unflatten(-1, (K, K)) @ q[..., None])[..., 0] / K**0.5


def plstm_nodes(q, k, v, source, transition, mark):
    written, transition = plstm_terms(k, v, source, transition)
    written, transition = ([x.unbind() for x in a.unbind()] for a in (written, transition))
    zero, seen = torch.zeros(Q, 1, K * K), []
    above = [zero] * P
    for r in range(T):
        left = zero
        for s in range(P):
            old = torch.cat((left, above[s]), 1)
            left, above[s] = torch.baddbmm(written[r][s], transition[r][s], old).split(1, 1)
            seen.append(old)
    return plstm_read(q, mark, torch.stack(seen).unflatten(0, (T, P)))


def plstm_waves(q, k, v, source, transition, mark):
    written, transition = (skew(a).unbind() for a in plstm_terms(k, v, source, transition))
    new, seen = torch.zeros(0, Q, 2, K * K), []
    for d in range(T + P - 1):
        first, last = rows(d)
        down, right = neighbours(new, d)
        old = torch.stack((right[:, :, 0], down[:, :, 1]), 2)
        new = torch.baddbmm(written[d][first:last].flatten(0, 1), transition[d][first:last].flatten(0, 1), old.flatten(0, 1)).unflatten(0, (-1, Q))
        seen.append(old)
    return plstm_read(q, mark, unskew(seen))


# The published code has [B, x, y, ...]: x is a row here, so that its right is our downward.
def plstm_published(function, cut_off, q, k, v, source, transition, mark):
    def gate(x, axes):
        return x[..., 0].permute(2, 0, 1)[(...,) + (None,) * axes]

    def vector(x):
        return x.permute(2, 0, 1, 3)[..., None]

    S, M = ([gate(a[..., i, None], 3) for i in (1, 0)] for a in (source, mark))
    Tr = [gate(transition[..., i, j, None], 2) for i, j in ((1, 1), (0, 0), (0, 1), (1, 0))]  # rl, du, dl, ru
    D = torch.zeros(Q, T, P, 1, 1, 1, 1, requires_grad=training)
    y = function(vector(q), vector(k), vector(v), *S, *Tr, *M, D, levels=cut_off)
    return y[..., 0].permute(1, 2, 0, 3)


# ---- MDLSTM ----


def mdlstm_gates(gates, c_up, c_left):
    i, fr, fs, o = torch.sigmoid(gates[:, : 4 * H]).chunk(4, 1)
    c = i * torch.tanh(gates[:, 4 * H :]) + fr * c_up + fs * c_left
    return o * torch.tanh(c), c


def mdlstm_weights(x, W, U, b):  # gates in the order i, f_r, f_s, o, g
    order = [0, 1, 2, 4, 3]
    return (x.flatten(0, 2) @ W[order].flatten(0, 1).T + b[order].flatten()).unflatten(0, grid), torch.cat([u[order].flatten(0, 1) for u in U], 1).T


def mdlstm_nodes(x, W, U, b):
    x, U = mdlstm_weights(x, W, U, b)
    x, zero, out = [a.unbind() for a in x.unbind()], torch.zeros(Q, H), []
    above = [(zero, zero)] * P
    for r in range(T):
        left = zero, zero
        for s in range(P):
            up = above[s]
            above[s] = left = mdlstm_gates(torch.addmm(x[r][s], torch.cat((up[0], left[0]), 1), U), up[1], left[1])
            out.append(left[0])
    return torch.stack(out).unflatten(0, (T, P))


def mdlstm_waves(x, W, U, b):
    x, U = mdlstm_weights(x, W, U, b)
    x, out = skew(x).unbind(), []
    h = c = torch.zeros(0, Q, H)
    for d in range(T + P - 1):
        first, last = rows(d)
        c = neighbours(c, d)
        h = torch.cat(neighbours(h, d), 2)
        h, c = mdlstm_gates(torch.addmm(x[d][first:last].flatten(0, 1), h.flatten(0, 1), U), *(a.flatten(0, 1) for a in c))
        h, c = h.unflatten(0, (-1, Q)), c.unflatten(0, (-1, Q))
        out.append(h)
    return unskew(out)


# ---- trees ----


def parents():
    i = numpy.arange(T * P) % P
    return numpy.arange(T * P) - i + (draw(TREE, T * P, 0, 1).astype(numpy.float64) * i).astype(numpy.int64)


def tree_terms(x, W, U, b, Wf, Uf, bf):
    return x @ W.flatten(0, 1).T + b.flatten(), x @ Wf.T + bf, U.flatten(0, 1).T, Uf.T


def tree_gates(gates):
    i, o = torch.sigmoid(gates[:, : 2 * H]).chunk(2, 1)
    return i * torch.tanh(gates[:, 2 * H :]), o


def tree_nodes(x, *weights):
    x, own, U, Uf = tree_terms(x, *weights)
    x, own, h, c = x.split(1), own.split(1), [None] * (trees * P), [None] * (trees * P)
    for tree in range(trees):
        for v in range(tree * P + P - 1, tree * P - 1, -1):  # children have greater numbers
            if children[v]:
                hs = torch.cat([h[k] for k in children[v]])
                c[v], o = tree_gates(torch.addmm(x[v], hs.sum(0, keepdim=True), U))
                f = torch.sigmoid(torch.addmm(own[v], hs, Uf))
                c[v] = c[v] + (f * torch.cat([c[k] for k in children[v]])).sum(0, keepdim=True)
            else:
                c[v], o = tree_gates(x[v])
            h[v] = o * torch.tanh(c[v])
    return torch.cat(h)


def tree_levels():  # nodes by level, and the levels' sizes; edges of each level but the first: the child's place, the parent's in its level
    level, up = numpy.zeros(T * P, dtype=numpy.int64), parents()
    for v in range(T * P - 1, -1, -1):
        if v % P:
            level[up[v]] = max(level[up[v]], level[v] + 1)
    order = numpy.argsort(level, kind="stable")
    place, ends = numpy.argsort(order), numpy.searchsorted(level[order], numpy.arange(level.max() + 2))
    child = numpy.flatnonzero(numpy.arange(T * P) % P)
    edges = []
    for n in range(1, level.max() + 1):
        of = child[level[up[child]] == n]
        edges.append((torch.from_numpy(place[of]), torch.from_numpy(place[up[of]] - ends[n])))
    return torch.from_numpy(order), torch.from_numpy(place), numpy.diff(ends).tolist(), edges


def tree_waves(x, *weights):
    order, place, sizes, edges = plan
    x, own, U, Uf = tree_terms(x[order], *weights)
    x, own = x.split(sizes), own.split(sizes)
    c, o = tree_gates(x[0])
    h = o * torch.tanh(c)
    for n, (child, parent) in enumerate(edges, 1):
        hs = h[child]
        new, o = tree_gates(torch.addmm(x[n], torch.zeros(sizes[n], H).index_add(0, parent, hs), U))
        new = new.index_add(0, parent, torch.sigmoid(own[n][parent] + hs @ Uf) * c[child])
        h, c = torch.cat((h, o * torch.tanh(new))), torch.cat((c, new))
    return h[place]


# ---- the contestant ----

trees = min(T, MOST_TREES) if way == "nodes" else T
made = [torch.from_numpy(draw(i, int(numpy.prod(s)), low, high)).reshape(s) for i, (s, low, high) in enumerate(shapes[cell])]
if cell == "tree_lstm":
    made[0], made[-1] = made[0][: trees * P], made[-1][: trees * P]
given, dy = [x.requires_grad_(training) for x in made[:-1]], made[-1]
run = globals()[cell.split("_")[0] + "_" + way]
scale, detail = 1.0, ""
if cell == "tree_lstm":
    if way == "waves":
        plan = tree_levels()
    else:
        children = [[] for _ in range(T * P)]
        for v, up in enumerate(parents()):
            v % P and children[up].append(v)
        if T > trees:
            scale, detail = T / trees, "%d trees, scaled" % trees


def once(f=None):
    with torch.set_grad_enabled(training):
        y = (f or run)(*given)
        if training:
            for x in given:
                x.grad = None
            y.backward(dy)
    return y


def seconds(n, f=None):
    times = []
    for i in range(n + (n > 1)):
        start = clock()
        once(f)
        times.append(clock() - start)
    return sorted(times[n > 1 :])[n // 2]


# Cut-offs from 8 up, then from 4 down to 2, each way until one is twice as slow as the best one, for both functions that are published.
def choose():
    root = os.path.join(os.environ["PLSTM"], "src")
    for name in ("plstm", "plstm.torch"):  # without what its layers need
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [os.path.join(root, *name.split("."))]
    from plstm.torch import plstm_2d

    best, said = None, []
    most = min(T, P).bit_length() - 1
    for name in ("pLSTM2D_torch", "pLSTM2D_fwbw"):
        said.append(name)
        if training and name == "pLSTM2D_fwbw" and T * P > 128 * 128:
            said.append("left out")
            break
        for cut_offs in (range(min(3, most), most + 1), range(min(3, most) - 1, 0, -1)):
            for cut_off in cut_offs:
                def f(*a, of=getattr(plstm_2d, name), n=cut_off):
                    return plstm_published(of, n, *a)
                try:
                    if not said[1:]:
                        once(f)  # what the first run of a process waits for
                    t = seconds(1, f)
                except (MemoryError, RuntimeError) as error:
                    memory = isinstance(error, MemoryError) or "alloc" in str(error)
                    said.append("%d: %s" % (1 << cut_off, "more than 12 GiB" if memory else "fails"))
                    break
                said.append("%d: %.3g" % (1 << cut_off, 1e3 * t))
                if best is None or t < best[0]:
                    best = t, f, "%s, cut-off %d" % (name, 1 << cut_off)
                elif t > 2 * best[0]:
                    break
    return best[1], best[2] + " (ms of the first run by cut-off: " + " ".join(said) + ")"


if way == "published":
    try:
        run, detail = choose()
    except (ImportError, KeyError) as error:
        print("skip", error)
        sys.exit(1)


print("ready", detail, flush=True)
for line in sys.stdin:
    if line.startswith("run"):
        print("time %.9f" % (scale * seconds(int(line.split()[1]))), flush=True)
    else:
        print("digest", digest([once()] + [x.grad for x in given if training]) if scale == 1 else "", flush=True)
