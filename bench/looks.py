"""Years of weekly looks at equal and at better models: how often each way of adding them up is wrong, and what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from bench.rows import Row
from contender.stats.eprocess import anytime
from contender.stats.spending import Look, boundaries, gathered

if TYPE_CHECKING:
    from pathlib import Path

_PATHS, _FEW = 100_000, 2_000
_GAIN = float(norm.isf(0.05) + norm.ppf(0.802))  # in errors of all rows: one test at the end finds it in 80.2 %


def measure(root: Path) -> Row:
    """The worst share of campaigns that prove one of two equal models better, and what the same looks find."""
    del root
    limit, found = 0.055, {}
    random = np.random.default_rng(0)
    for looks in (13, 26, 52):
        steps = random.normal(size=(_PATHS, looks))
        counts = np.arange(1, looks + 1)
        spending = boundaries(np.ones(looks), list(counts / looks), 0.05)
        open_end = np.array([anytime([Look(0.0, 1.0, 1)] * n).needed * n**0.5 for n in counts])
        for drift in (0.0, _GAIN, 1.1**0.5 * _GAIN):
            heights = (np.cumsum(steps, axis=1) + drift * counts / looks**0.5) / counts**0.5
            ways = {"spending": spending, "no end": open_end, "naive": np.full(looks, norm.isf(0.05))}
            found |= {(looks, drift, way): (heights >= enough).any(axis=1).mean() for way, enough in ways.items()}
    few = {degrees: _few(random, degrees) for degrees in (9, 20)}
    worst = max(*(found[looks, 0.0, "spending"] for looks in (13, 26, 52)), *few.values())
    told = "; ".join(
        f"{looks} looks: equal {found[looks, 0.0, 'spending']:.1%} (naive {found[looks, 0.0, 'naive']:.1%}, no end "
        f"{found[looks, 0.0, 'no end']:.1%}), gain found {found[looks, _GAIN, 'spending']:.1%} (one test 80.2%, no end "
        f"{found[looks, _GAIN, 'no end']:.1%}), with 1.1 times the rows {found[looks, 1.1**0.5 * _GAIN, 'spending']:.1%}"
        for looks in (13, 26, 52)
    )
    bounded = ", ".join(
        f"{_bounded(random, rows, spread):.1%}" for rows, spread in ((100, 0.05), (500, 0.05), (100, 0.15))
    )
    return Row(
        name="looks",
        value=round(worst, 4),
        unit="share",
        against="5 % for all looks together",
        limit=limit,
        ok=worst < limit,
        how=f"{_PATHS:,} campaigns each: {told}; 26 looks whose errors have 9 and 20 degrees of freedom, {_FEW:,} campaigns: "
        f"{few[9]:.1%}, {few[20]:.1%}; the gain by Choe and Ramdas' bound on 26 looks of Brier differences: {bounded}",
    )


def _few(random: np.random.Generator, degrees: int, looks: int = 26) -> float:
    """How often equal models are told apart when each look's error is known from few entities."""
    wrong = 0
    for _ in range(_FEW):
        errors = (random.chisquare(degrees, looks) / degrees) ** 0.5
        seen = zip(random.normal(size=looks), errors, strict=True)
        wrong += gathered([Look(d, e, 100, degrees, (n + 1) / looks) for n, (d, e) in enumerate(seen)]).proved
    return wrong / _FEW


def _bounded(random: np.random.Generator, rows: int, spread: float, looks: int = 26, campaigns: int = 1_000) -> float:
    """How often the gain is found with differences of Brier scores, known to be in -1 to 1: mixed over 30 bets below 1 / 2."""
    bets = np.geomspace(0.01, 0.95, 30) / 2
    price = (-np.log1p(-2 * bets) - 2 * bets) / 4
    total, squares, ever = np.zeros(campaigns), np.zeros(campaigns), np.zeros(campaigns, dtype=bool)
    gain = _GAIN * spread / (rows * looks) ** 0.5
    for look in range(looks):
        expected = total / max(1, look * rows)
        seen = np.clip(random.normal(gain, spread, size=(campaigns, rows)), -1, 1)
        total, squares = total + seen.sum(axis=1), squares + np.square(seen - expected[:, None]).sum(axis=1)
        ever |= np.exp(total[:, None] * bets - squares[:, None] * price).mean(axis=1) >= 20
    return float(ever.mean())
