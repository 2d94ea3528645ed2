"""What a mutation run needs of pytest: one client under all its names, and the same few examples for every mutant."""

from __future__ import annotations

import importlib
import pkgutil
import sys

from hypothesis import Phase, settings

# As mutmut calls it, by the path of its files; then as modules and as tests do.
CLIENT = "module_utils.flexcore_client"
OTHER_NAMES = ("ansible.module_utils.flexcore_client", "flexcore_client")

client = importlib.import_module(CLIENT)
for submodule in ["", *(f".{found.name}" for found in pkgutil.iter_modules(client.__path__))]:
    loaded = importlib.import_module(CLIENT + submodule)
    sys.modules.update({name + submodule: loaded for name in OTHER_NAMES})

# Any failure is enough: no search for a smaller one, and nothing remembered from one mutant to the next.
settings.register_profile(
    "mutation",
    max_examples=20,
    derandomize=True,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=settings.get_profile("default").suppress_health_check,
)
