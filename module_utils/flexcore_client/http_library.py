"""httpcore, the engine of httpx, wherever this machine has it; importing this file raises ImportError where it has not.

A managed host's own Python usually lacks it while FlexCore's virtual environment has it. That environment is made from
the same Python, so its libraries can be used as they are, behind the host's own: starting again under its interpreter
costs more than most modules do.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from . import deployed

try:
    import httpcore as httpcore
except ImportError:
    packages = deployed.packages()
    if packages is None:
        raise
    sys.path.append(packages)
    import httpcore as httpcore

# httpcore asks sniffio for every lock which event loop runs. Where sniffio is not installed, Python searches its whole
# path each time, which is a third of what a request costs; None is Python's own mark for "not importable".
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # the mark is not in the type
