"""The program of a launcher: `python -I -S -B start.py <descriptor of the socket to the supervisor>`.

Started by path, with nothing of FlexCore to be found by imports yet.
"""

import sys
from pathlib import Path

_SOURCE = str(Path(__file__).parents[4])

sys.path.insert(0, _SOURCE)

from flexcore.infrastructure.sandbox.launcher.main import main  # noqa: E402

# What is found from here on is the plugin's.
sys.path.remove(_SOURCE)

main(int(sys.argv[1]))
