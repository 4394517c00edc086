"""The error of a mean over rows of which some are about the same entity, and the t distribution that goes with it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import t as student


class Error(NamedTuple):
    """A standard error, and the degrees of freedom of the t distribution by which its multiples are read."""

    error: float
    degrees: float


CONFIDENCE = 0.90  # of intervals; two-sided, so that each end is a one-sided 95 % bound


def half_width(error: float, degrees: float) -> float:
    """How far each end of the interval is from the difference."""
    return float(student.isf((1 - CONFIDENCE) / 2, degrees)) * error


def as_normal(error: float, degrees: float) -> float:
    """The error that the normal distribution needs for the same interval: larger where it is known from few entities."""
    return half_width(error, degrees) / half_width(1.0, float("inf"))


def influence_error(rows: np.ndarray, groups: np.ndarray, strata: np.ndarray) -> Error:
    """The standard error of a mean of n influence values.

    Args:
        rows: influence values, shape (n,).
        groups: whole numbers from 0, equal for rows of one entity, shape (n,).
        strata: whole numbers from 0, equal for rows that vary alike, shape (n,): the class of each, or 0 for all.
    """
    sums = np.bincount(groups, weights=rows) / len(rows)
    brought = np.bincount(strata, weights=rows**2) / len(rows) ** 2
    return clustered(sums, counted(groups, strata), brought)


def counted(groups: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """How many rows of each stratum each entity has; shape (strata, entities)."""
    entities = int(groups.max()) + 1
    cells = np.bincount(strata * entities + groups, minlength=(int(strata.max()) + 1) * entities)
    return cells.reshape(-1, entities)


def clustered(sums: np.ndarray, cells: np.ndarray, brought: np.ndarray) -> Error:
    """The standard error of a mean from what each of G entities adds to it.

    Each square is corrected for how much the entity moved the mean itself (CR2), and the degrees of freedom are
    Satterthwaite's for independent rows: G - 1 for entities of equal size, fewer where a few hold most of the rows, or
    most of a rare class (Bell and McCaffrey, Bias reduction in standard errors for linear regression with multi-stage
    samples, Survey Methodology 2002; Imbens and Kolesar, Robust standard errors in small samples, Review of Economics
    and Statistics 2016).

    Args:
        sums: what each entity adds, shape (G,).
        cells: how many rows of each stratum it has, shape (strata, G); brought: the variance of the mean that each
            stratum brings, up to a factor, shape (strata,).
    """
    if not brought.sum() > 0:  # no row moves anything
        return Error(0.0, 1.0)
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    variances = brought @ shares
    leverage = brought @ shares**2 / np.where(variances > 0, variances, 1)
    left = np.maximum(1 - leverage, 1e-9)
    scaled = shares / np.sqrt(left)
    # The trace of the square of the corrected sums' covariance matrix, whose diagonal is `variances`.
    others = (scaled @ scaled.T) ** 2 - scaled**2 @ (scaled**2).T
    trace = variances @ variances + brought @ others @ brought
    return Error(float(np.sqrt(np.sum(sums**2 / left))), float(brought.sum() ** 2 / trace))
