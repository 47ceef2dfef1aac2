"""Writes data/metrics.safetensors: distances between sets of feature vectors, by scipy and numpy from the definitions.

Fréchet distance by scipy's matrix square root (Heusel et al. 2017); the inception score by splits (Salimans et al. 2016);
precision and recall from the third neighbour (Kynkäänniemi et al. 2019). `few` has fewer vectors than features: there the root
is taken of the covariances' nonzero part, on which both act, since scipy's is unreliable on singular matrices.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

DATA = Path(__file__).parent / "data"


def statistics(x):
    return x.mean(axis=0), np.cov(x, rowvar=False)


def frechet(a, b):
    (m1, s1), (m2, s2) = a, b
    root = sqrtm(s1 @ s2)
    assert np.abs(np.imag(root)).max() < 1e-6
    return ((m1 - m2) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * np.trace(np.real(root))


def frechet_singular(a, b):
    """The same, in the coordinates of the first covariance's range: √s1·s2·√s1 has the eigenvalues of s1·s2."""
    (m1, s1), (m2, s2) = a, b
    values, vectors = np.linalg.eigh(s1)
    keep = values > values.max() * 1e-12
    half = vectors[:, keep] * np.sqrt(values[keep])
    inner = np.linalg.eigvalsh(half.T @ s2 @ half)
    return ((m1 - m2) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * np.sqrt(np.clip(inner, 0, None)).sum()


def inception_score(p, split):
    scores = []
    for i in range(0, len(p), split):
        part = p[i : i + split]
        kl = part * (np.log(part) - np.log(part.mean(axis=0, keepdims=True)))
        scores.append(np.exp(kl.sum(axis=1).mean()))
    return np.mean(scores)


def precision_recall(reference, samples, k=3):
    def radii(x):
        return np.sort(cdist(x, x, "sqeuclidean"), axis=1)[:, k]

    distances = cdist(reference, samples, "sqeuclidean")
    precision = (distances <= radii(reference)[:, None]).any(axis=0).mean()
    recall = (distances <= radii(samples)[None, :]).any(axis=1).mean()
    return precision, recall


def main():
    rng = np.random.default_rng(7)
    mix = rng.normal(size=(12, 12))
    # Far from zero: sums of squares that are not shifted lose half their digits there.
    reference = (rng.normal(size=(300, 12)) @ mix + 50).astype(np.float32)
    samples = (rng.normal(size=(257, 12)) @ (mix + 0.1 * rng.normal(size=(12, 12))) + 50.2).astype(np.float32)
    few = samples[:7]
    logits = (3 * rng.normal(size=(50, 9))).astype(np.float32)
    r, s, f = (x.astype(np.float64) for x in (reference, samples, few))
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    (mean, covariance), stats = statistics(r), statistics(s)
    precision, recall = precision_recall(r, s)
    tensors = {
        "input.reference": reference,
        "input.samples": samples,
        "input.few": few,
        "input.logits": logits,
        "output.mean": mean,
        "output.covariance": covariance,
        "output.frechet": frechet((mean, covariance), stats),
        "output.frechetOfFew": frechet_singular((mean, covariance), statistics(f)),
        "output.inceptionScore": inception_score(p, 20),
        "output.precision": precision,
        "output.recall": recall,
    }
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, DATA / "metrics.safetensors", {"config": "{}"})
    print({k: float(v) for k, v in tensors.items() if np.ndim(v) == 0})


if __name__ == "__main__":
    main()
