"""The dtype of text, the same under pandas 2 and 3."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

TEXT: Final = pd.StringDtype(na_value=np.nan)  # what pandas 3 calls ``str``; pandas 2 only prints it so
