"""h11, by which httpx speaks HTTP, wherever this machine has it; importing this raises ImportError where it has not.

A managed host's own Python usually lacks it while FlexCore's virtual environment has it. That environment is made from
the same Python, so its libraries can be used as they are, behind the host's own: starting again under its interpreter
costs more than most modules do.
"""

from __future__ import annotations

import sys

from . import deployed

try:
    import h11 as h11
except ImportError:
    packages = deployed.packages()
    if packages is None:
        raise
    sys.path.append(packages)
    import h11 as h11
