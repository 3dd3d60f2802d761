#!/usr/bin/env python3
# Contestant: torch.nn.LSTM and torch.nn.GRU on one thread. The protocol is that of contestant.h; without arguments it only
# says which version there is.
import sys, time
import numpy, torch

if len(sys.argv) == 1:
    print(torch.__version__)
    sys.exit(0)
cell, mode = sys.argv[1:3]
B, T, H = map(int, sys.argv[3:6])
G, training = (3 if cell == "gru" else 4), mode == "training"
torch.set_num_threads(1)

file = numpy.memmap(sys.argv[6], dtype=numpy.float32, mode="r")
place = 0


def take(*shape):
    global place
    n = int(numpy.prod(shape))
    place += n
    return torch.from_numpy(numpy.array(file[place - n:place]).reshape(shape))


x, W, U, b, d, dh = take(T, B, H), take(G * H, H), take(G * H, H), take(G * H), take(H), take(T, B, H)
net = (torch.nn.GRU if cell == "gru" else torch.nn.LSTM)(H, H)
with torch.no_grad():
    net.weight_ih_l0.copy_(W)
    net.weight_hh_l0.copy_(U)
    net.bias_ih_l0.copy_(b)
    net.bias_hh_l0.zero_()
    if cell == "gru":
        net.bias_hh_l0[2 * H:] = d
if training:
    x.requires_grad_()
else:
    net.eval()


def once():
    if not training:
        with torch.inference_mode():
            return net(x)[0]
    net.zero_grad(set_to_none=True)
    x.grad = None
    h, _ = net(x)
    h.backward(dh)
    return h


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


def write(path):
    parts = [once()]
    if training:
        parts += [x.grad, net.weight_ih_l0.grad, net.weight_hh_l0.grad, net.bias_ih_l0.grad]
    if training and cell == "gru":
        parts.append(net.bias_hh_l0.grad[2 * H:])
    with open(path, "wb") as f:
        for p in parts:
            f.write(p.detach().contiguous().numpy().tobytes())


print("ready", torch.__version__, flush=True)
for line in sys.stdin:
    word, rest = line.split(None, 1)
    if word == "run":
        print("time %.9f" % seconds(int(rest)), flush=True)
    else:
        write(rest.strip())
        print("done", flush=True)
