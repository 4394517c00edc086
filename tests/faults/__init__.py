"""The fault lab. It uses the tests' helpers, which pytest finds by itself and ``make faults`` finds here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "support"))
