"""Which pages are generated, and from what."""

from pathlib import Path

from docs.generate import modules, roles, settings

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def pages() -> dict[Path, str]:
    """Write every generated page with its text, the same for the same sources."""
    described = role_directories()
    return {
        **{role / "README.md": roles.readme(role) for role in described},
        REFERENCE / "roles.md": roles.index(described),
        REFERENCE / "modules.md": modules.reference(modules.documentation(ROOT / "library")),
        REFERENCE / "settings.md": settings.reference(),
    }


def role_directories() -> list[Path]:
    """List the project's roles, by name."""
    return sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
