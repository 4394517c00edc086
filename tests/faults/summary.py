"""A campaign in numbers."""

from __future__ import annotations

from collections import Counter
from statistics import quantiles
from typing import TYPE_CHECKING

from faults.faults import VICTIMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faults.campaign import Case


def summary(cases: Sequence[Case]) -> str:
    """Faults by victim, failures with their bound, and how long runs took to recover."""
    lines = [
        "",
        "| victim | faults | failed cases | seconds from the last fault to success: p50 | p95 | max |",
        "|---|---|---|---|---|---|",
    ]
    for victim in (*VICTIMS, "all"):
        of_it = [case for case in cases if victim == "all" or victim in {fault.victim for fault in case.struck}]
        faults = Counter(fault.victim for case in cases for fault in case.struck)
        count = faults.total() if victim == "all" else faults[victim]
        failed = sum(bool(case.wrong) for case in of_it)
        lines.append(f"| {victim} | {count} | {failed} | {_times(of_it)} |")
    failed = sum(bool(case.wrong) for case in cases)
    bound = f"rule of three: at most {min(1.0, 3 / len(cases)):.1%} of runs (95 %)" if cases and not failed else ""
    lines += ["", f"{len(cases)} runs, {failed} failed. {bound}".rstrip()]
    return "\n".join(lines)


def _times(cases: Sequence[Case]) -> str:
    times = sorted(case.recovery for case in cases if case.recovery is not None and not case.wrong)
    if not times:
        return "- | - | -"
    cuts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else times * 19
    return f"{cuts[9]:.1f} | {cuts[18]:.1f} | {times[-1]:.1f}"
