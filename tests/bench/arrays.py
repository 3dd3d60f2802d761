# What contestants in Python share: the numbers that linear.h draws, and what is said of results.
import numpy


def draw(array, n, low, high):
    x = numpy.arange(n, dtype=numpy.uint32) * numpy.uint32(2654435761) ^ numpy.uint32(array * 2246822519 % 2**32)
    for shift, factor in ((16, 0x7feb352d), (15, 0x846ca68b), (16, 1)):
        x ^= x >> numpy.uint32(shift)
        x *= numpy.uint32(factor)
    return (low + (high - low) * ((x >> numpy.uint32(8)) / 16777216.0)).astype(numpy.float32)


# The product of each array with fixed noise, and its norm.
def digest(arrays):
    numbers = []
    for p in arrays:
        p = p.detach().numpy().ravel().astype(numpy.float64)
        numbers += [p @ draw(99, p.size, -1, 1), p @ p]
    return " ".join("%.17g" % x for x in numbers)
