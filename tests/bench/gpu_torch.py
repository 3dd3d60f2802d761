#!/usr/bin/env python3
# torch.nn.LSTM or torch.nn.GRU on the GPU, float32 without TF32: gpu_torch.py CELL T B H prints "FORWARD TRAINING", ms of one call.
# Without arguments it says which version there is, and fails where it sees no GPU.
import sys
import torch

if len(sys.argv) == 1:
    assert torch.cuda.is_available()
    print(torch.__version__, "cuDNN", torch.backends.cudnn.version())
    sys.exit(0)
cell = sys.argv[1]
T, B, H = map(int, sys.argv[2:5])
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False
net = (torch.nn.GRU if cell == "gru" else torch.nn.LSTM)(H, H).cuda()
x = torch.randn(T, B, H, device="cuda", requires_grad=True)
dh = torch.randn(T, B, H, device="cuda")


def forward():
    with torch.inference_mode():
        net(x)


def training():
    net.zero_grad(set_to_none=True)
    x.grad = None
    net(x)[0].backward(dh)


def ms(once):
    for _ in range(3):
        once()
    times = []
    for _ in range(15):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        once()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return sorted(times)[7]


print("%.4f %.4f" % (ms(forward), ms(training)))
