"""The noise that ditc draws, written again: Philox 4×32-10 (Salmon et al. 2011) by models/diffusion.ts's counters, element, picture and step."""

import numpy as np

START = 0xFFFFFFFF  # the step of the first x


def philox(counter, key):
    """Four words [4, …] of 32 bits from counters [4, …] and a key of two."""
    c, (low, high) = [np.asarray(word, np.uint64) for word in counter], key
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        shift = np.uint64(32)
        c = [(q >> shift) ^ c[1] ^ np.uint64(low), q & mask, (p >> shift) ^ c[3] ^ np.uint64(high), p & mask]
        low, high = (low + 0x9E3779B9) & 0xFFFFFFFF, (high + 0xBB67AE85) & 0xFFFFFFFF
    return c


def normal(seed, shape, step):
    """N(0,1) of a shape [pictures, …] by Box and Muller."""
    pictures, *picture = shape
    element, index = np.meshgrid(np.arange(np.prod(picture)), np.arange(pictures))
    zero = np.zeros_like(element)
    words = philox([element, index, zero + step, zero], (seed & 0xFFFFFFFF, seed >> 32))
    a, b = (((word >> np.uint64(8)).astype(np.float64) + 0.5) * 2.0**-24 for word in words[:2])
    return (np.sqrt(-2 * np.log(a)) * np.cos(2 * np.pi * b)).reshape(shape)
