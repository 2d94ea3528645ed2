"""Whose packages are installed: those that a trusted key signed, and others only where the settings say so."""

from typing import Protocol

from flexcore.domain.errors import InvalidInput, NotInstallable


class Keyring(Protocol):
    """The public keys that are trusted."""

    def __len__(self) -> int: ...

    def signer(self, plugin_id: str, version: str, digest: str, signature: str) -> str:
        """Return the name of the key that signed this package; raises InvalidInput if none of them did."""
        ...


class PackageTrust:
    """Judges signatures. `require_signature` is about uploads, `allow_unsigned` about the marketplace."""

    def __init__(self, keys: Keyring, *, require_signature: bool, allow_unsigned: bool) -> None:
        self._keys = keys
        self._require_signature = require_signature
        self._allow_unsigned = allow_unsigned

    def check_upload(self, plugin_id: str, version: str, digest: str, signature: str | None) -> str | None:
        """Return who signed an upload, None if nobody has to; raises InvalidInput."""
        if signature is not None:
            return self._keys.signer(plugin_id, version, digest, signature)
        if self._require_signature:
            raise InvalidInput.field("signature", "is required here (plugins.require_signature); sign the package")
        return None

    def check_offer(self, plugin_id: str, version: str, digest: str, signature: str | None) -> str | None:
        """Return who signed a package of the marketplace, None if nobody has to; raises NotInstallable."""
        # Without any key there is nobody to trust, and unsigned packages are all that can be had.
        if signature is not None and (len(self._keys) or not self._allow_unsigned):
            try:
                return self._keys.signer(plugin_id, version, digest, signature)
            except InvalidInput as error:
                raise NotInstallable(f"{plugin_id} {version} from the marketplace is refused: {error}") from error
        if not self._allow_unsigned:
            raise NotInstallable(
                f"plugin '{plugin_id}' {version} from the marketplace is refused: it is not signed "
                "(marketplace.allow_unsigned)"
            )
        return None

    def signer(self, plugin_id: str, version: str, digest: str, signature: str | None) -> str | None:
        """Return which trusted key signed a package, None if none did."""
        try:
            return None if signature is None else self._keys.signer(plugin_id, version, digest, signature)
        except InvalidInput:
            return None
