"""Accuracy and calibration of a classifier."""
import numpy as np
def calibration_error(c, ok, bins: int = 10) -> float:
    which = np.minimum((np.asarray(c) * bins).astype(int), bins - 1)
    gaps = [abs((c[which == i] - ok[which == i]).sum()) for i in range(bins)]
    return float(sum(gaps) / max(1, len(c)))
