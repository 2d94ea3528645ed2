"""Which pages are generated, and from what."""

from pathlib import Path

from docs.generate import ansible_plugins, api, commands, modules, plugins, roles, settings
from docs.generate.ansible_doc import documentation
from flexcore.cli import main as flexcore
from flext_cli.main import flext
from plugins.filter.flexcore import FilterModule

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def pages() -> dict[Path, str]:
    """Write every generated page with its text, the same for the same sources."""
    described = role_directories()
    return {
        **{role / "README.md": roles.readme(role) for role in described},
        REFERENCE / "roles.md": roles.index(described),
        REFERENCE / "modules.md": modules.reference(documentation(ROOT / "library")),
        REFERENCE / "ansible-plugins.md": ansible_plugins.reference(
            {kind: documentation(ROOT / "plugins" / kind, kind) for kind in ("inventory", "lookup", "callback")},
            FilterModule().filters(),
        ),
        REFERENCE / "api.md": api.reference(),
        REFERENCE / "commands.md": commands.reference({"flexcore": flexcore, "flext": flext}),
        REFERENCE / "playbooks.md": commands.playbooks(sorted((ROOT / "playbooks").glob("*.yml"))),
        REFERENCE / "plugins.md": plugins.reference(),
        REFERENCE / "settings.md": settings.reference(),
    }


def role_directories() -> list[Path]:
    """List the roles that describe themselves, by name."""
    return sorted(specs.parents[1] for specs in ROOT.glob("roles/*/meta/argument_specs.yml"))
