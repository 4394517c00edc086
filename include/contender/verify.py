"""``python -m contender.verify``: check one version in a fresh process. Reads its task as JSON from standard input."""

from __future__ import annotations

import json
import sys

from contender.backends import Backends
from contender.errors import ContenderError


def main() -> int:
    """0 when the version is what was released and predicts what it must; else the reason is the last line, and the code
    is 1, or ``NO_RETRY`` when trying again cannot help.
    """
    from contender.release import NO_RETRY, check_version

    task = json.load(sys.stdin)
    backends = Backends.connect(store=task["store"], tracking_uri=task["tracking_uri"], signing_key=task["signing_key"])
    try:
        check_version(backends, task["pipeline"], task["run_id"], task["version"])
    except ContenderError as error:
        sys.stderr.write(f"{error}\n")
        return 1 if error.retryable else NO_RETRY
    return 0


if __name__ == "__main__":
    sys.exit(main())
