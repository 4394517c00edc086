"""The page about a run's data checks: what was asked, what failed, which rows go and why, in one self-contained file.

Great Expectations shows its own results; the rest is ours. Neither has a value of the data to show, and the page runs
and fetches nothing, whatever columns and settings are called.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from contender.data.checks.expectations import sections
from contender.data.checks.quarantine import failing_rows, refusal
from contender.judge.report import page_environment

if TYPE_CHECKING:
    from contender.documents import Quarantine, Run, Snapshot

_log = logging.getLogger(__name__)


def checks_page(run: Run, snapshot: Snapshot, quarantine: Quarantine) -> str:
    """The page as HTML. The same arguments give the same bytes."""
    from markupsafe import Markup

    environment = page_environment()
    asked = run.spec.expectations if quarantine.checks else ()
    try:
        shown = sections(asked, quarantine.checks)
    except Exception:  # noqa: BLE001 - its page is for people and no reason to stop a run; what failed stands in ours
        _log.exception("Great Expectations could not show its results")
        shown = []
    results = (*quarantine.structure, *quarantine.checks)
    labels = {one.label for one in results}
    reasons = failing_rows(snapshot, quarantine).most_common()
    return environment.get_template("checks.html.j2").render(
        run=run,
        snapshot=snapshot,
        quarantine=quarantine,
        refusal=refusal(snapshot, quarantine, run.spec.quarantine.max_share),
        leaking=any(finding.policy == "stop" for finding in quarantine.findings),
        warnings=sum(not one.success and not one.stops for one in results)
        + sum(finding.policy == "warn" for finding in quarantine.findings),
        failed=[one for one in results if not one.success],
        unread=[(reason, number) for reason, number in reasons if reason not in labels],
        sections=[Markup(section) for section in shown],  # noqa: S704 - nothing in it but the library's own markup
    )
