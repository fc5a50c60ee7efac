"""The digits that scikit-learn ships, and the distance of generated ones from them.

The paper measures FID, a Fréchet distance between features of the Inception network. Here the
features are those of a small classifier of the real training digits. Distances in other features
are not comparable; the one between real training and real test digits is the reference.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

TRAINING = 1_297


class Digits:
    """1,297 `training` and 500 `test` images, (n, 1, 8, 8) in [-1, 1]; the same for all seeds."""

    def __init__(self) -> None:
        from sklearn.datasets import load_digits
        from sklearn.neural_network import MLPClassifier

        data, classes = load_digits(return_X_y=True)
        order = torch.randperm(len(data), generator=Generator().manual_seed(0)).numpy()
        data, classes = data[order] / 8 - 1, classes[order]
        images = torch.tensor(data, dtype=torch.float32).view(-1, 1, 8, 8)
        self.training, self.test = images[:TRAINING], images[TRAINING:]
        classifier = MLPClassifier((64, 32), random_state=0, max_iter=100, tol=1e-3)
        classifier.fit(data[:TRAINING], classes[:TRAINING])
        self.accuracy = float(classifier.score(data[TRAINING:], classes[TRAINING:]))
        self._layers = list(zip(classifier.coefs_, classifier.intercepts_, strict=True))

    def features(self, images: Tensor) -> Tensor:
        """The 32 values that enter the classifier's last layer, shape (n, 32)."""
        hidden = images.clamp(-1, 1).flatten(1).double()  # clipped, as in an image file
        for weights, bias in self._layers[:-1]:
            hidden = (hidden @ torch.tensor(weights) + torch.tensor(bias)).relu()
        return hidden

    def distance(self, images: Tensor) -> float:
        """Fréchet distance of images from the training digits."""
        return frechet_distance(self.features(images), self.features(self.training))


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet distance of two Gaussians fitted to features of shape (n, d).

    >>> points = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).double()
    >>> round(frechet_distance(points, points + 2), 6)
    8.0
    """
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    # The trace of the square root of a product is the sum of the roots of its eigenvalues.
    roots = torch.linalg.eigvals(cov_a @ cov_b).real.clamp(min=0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * roots)
