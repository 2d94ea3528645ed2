"""The settings reference from their declarations."""

from docs.generate.markdown import NOTICE, page, table, value
from flexcore.configuration import Declaration, declarations


def reference() -> str:
    """Write the page of all settings of the FlexCore server."""
    declared = list(declarations())
    return page(
        NOTICE.format(source="src/flexcore/settings.py"),
        "# Settings of the FlexCore server",
        "A value comes from the environment variable, else from `config.yaml` (a setting `http.port` stands there as "
        "`port` below `http`), else from the default. A setting that is wrong or unknown stops the start with one "
        "line that names the setting, where its value came from and what is allowed.",
        table(
            ("Setting", "Environment", "Default", "Allowed", "Meaning"),
            (_setting(item) for item in declared if not item.is_secret),
        ),
        "## Secrets",
        "A secret is never read from `config.yaml`, but from the environment variable, else from the file that the "
        "variable with `_FILE` appended names, else from the systemd credential.",
        table(
            ("Secret", "Environment", "Credential", "Allowed", "Meaning"),
            (_secret(item) for item in declared if item.is_secret),
        ),
    )


def _setting(item: Declaration) -> tuple[str, ...]:
    # The node's name is the machine's own, which is no default to print.
    default = "host name" if item.key == "node_id" else value(item.default)
    return f"`{item.key}`", value(item.env), default, item.allowed, item.description


def _secret(item: Declaration) -> tuple[str, ...]:
    return f"`{item.key}`", value(item.env), value(item.extra["credential"]), item.allowed, item.description
