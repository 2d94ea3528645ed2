"""What a peer of the sandbox starts for every execution: sets the limits, imports the plugin, answers, ends.

`python -I -S -B runner.py`, one JSON line in, one out.
"""

import json
import resource
import sys
from importlib import import_module

request = json.loads(sys.stdin.readline())
for name, value in request["limits"].items():
    resource.setrlimit(getattr(resource, name), (value, value))
sys.path[:0] = request["search_path"]
module, _, name = request["entry_point"].partition(":")
plugin = getattr(import_module(module), name)({})
answer = getattr(plugin, request["operation"])(**request["data"])
sys.stdout.write(json.dumps(answer) + "\n")
