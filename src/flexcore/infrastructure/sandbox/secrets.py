"""The secrets of plugins: where they are, who gets which, and how they are kept out of everything else."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from flexcore.domain.errors import Conflict
from flexcore.domain.manifest import PluginManifest

PREFIX: Final = "plugin_secret_"
SHORTEST: Final = 8
"""Characters; what is shorter could not be told from ordinary words where it has to be blotted out."""
HIDDEN: Final = "***"
MOST_BLOTTED_BYTES: Final = 256 * 1024
"""Of a value in JSON: a plugin could fill megabytes with the smallest of members."""


class TooMuchToBlotError(Exception):
    """A value with a secret in it is too large to be made fit for others."""


class PluginSecrets:
    """Reads secrets when they are needed, so that a renewed one holds from the next execution on.

    The secret `name` of the plugin `id` is the file `plugin_secret_<id>_<name>` of `directory`, without the end of its
    line. systemd fills such a directory with `LoadCredential=plugin_secret:<directory with the files <id>_<name>>`.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def of(self, manifest: PluginManifest) -> dict[str, str]:
        """Give a plugin's secrets, by their names; raises Conflict if one is missing or can't be used."""
        return {name: self._read(manifest.id, name) for name in manifest.permissions.secrets}

    def _read(self, plugin_id: str, name: str) -> str:
        file = f"{PREFIX}{plugin_id}_{name}"
        missing = Conflict(
            f"plugin '{plugin_id}' needs the secret '{name}', and this node has none; "
            f"give it as the systemd credential {file}"
        )
        if self._directory is None or "/" in name:
            raise missing
        try:
            value = (self._directory / file).read_text(encoding="utf-8").removesuffix("\n")
        except FileNotFoundError:
            raise missing from None
        except (OSError, UnicodeDecodeError) as error:
            raise Conflict(
                f"plugin '{plugin_id}' needs the secret '{name}', and the credential {file} can't be read as text"
            ) from error
        if len(value) < SHORTEST:
            raise Conflict(
                f"the secret '{name}' of plugin '{plugin_id}' has fewer than {SHORTEST} characters, too few to be kept "
                "out of logs; give a longer one"
            )
        return value


class Mask:
    """Blots out secrets in what comes from a plugin that knows them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first, because one may be the beginning of another.
        self._secrets = sorted(secrets, key=len, reverse=True)
        # As they stand inside of a text in JSON.
        self._encoded = [msgspec.json.encode(secret)[1:-1] for secret in self._secrets]

    def text(self, text: str) -> str:
        """Return `text` with `***` in the place of each secret."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        return text

    def value(self, value: Any) -> Any:
        """Return a JSON value without secrets, in its texts and in the names of its members.

        Raises TooMuchToBlotError for one that holds a secret and is so large that a walk through it would hold up the
        server.
        """
        if not self._secrets:
            return value
        # As good as all values hold none, and encoding finds that out a hundred times faster than a walk through them.
        encoded = msgspec.json.encode(value)
        if not any(secret in encoded for secret in self._encoded):
            return value
        if len(encoded) > MOST_BLOTTED_BYTES:
            raise TooMuchToBlotError(
                f"it holds a secret, which is only blotted out of what has at most {MOST_BLOTTED_BYTES} bytes"
            )
        return self._blot(value)

    def _blot(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(name): self._blot(member) for name, member in value.items()}
            case list():
                return [self._blot(item) for item in value]
            case _:
                return value
