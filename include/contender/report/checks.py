"""The page of a run's data checks: what was asked, what failed, and which rows are quarantined and why, in one file.

Great Expectations renders its own results, this module the rest. The page shows no value of the data, runs no script
and fetches nothing, whatever names columns and settings have.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from contender.data.checks.expectations import sections
from contender.data.checks.quarantine import failing_rows, refusal
from contender.documents.data import Quarantine
from contender.report.page import page_environment
from contender.store.base import read_document, write_document
from contender.store.runs import CHECKS, shown_as
from contender.words import mean_words

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents.data import Snapshot
    from contender.documents.run import Run

_log = logging.getLogger(__name__)


def show_checks(run: Run, backends: Backends, taken: Snapshot, quarantine: Quarantine) -> None:
    """Write the page and let MLflow show it, unless the one that is there is of this quarantine."""
    if read_document(backends.store, run.key("checks.json"), Quarantine) == quarantine:
        return
    page = checks_page(run, taken, quarantine)
    backends.store.write(run.key(CHECKS), page.encode())
    backends.tracking.show(run, shown_as(run, CHECKS), page)
    write_document(backends.store, run.key("checks.json"), quarantine)


def checks_page(run: Run, snapshot: Snapshot, quarantine: Quarantine) -> str:
    """The page as HTML. The same arguments give the same bytes."""
    from markupsafe import Markup

    environment = page_environment()
    asked = run.spec.expectations if quarantine.checks else ()
    try:
        shown = sections(asked, quarantine.checks)
    except Exception:  # noqa: BLE001 - a page must not stop a run; what failed is in the part below
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
        + sum(finding.policy == "warn" for finding in quarantine.findings)
        + sum(one.apart for one in quarantine.labels),
        failed=[one for one in results if not one.success],
        unread=[(reason, number) for reason, number in reasons if reason not in labels],
        labels=[
            (
                one.apart,
                one.reason,
                one.rows,
                mean_words(one.aside, one.kept, classification=run.spec.data.classification),
            )
            for one in quarantine.labels
        ],
        sections=[Markup(section) for section in shown],  # noqa: S704 - the library's own markup only
    )
