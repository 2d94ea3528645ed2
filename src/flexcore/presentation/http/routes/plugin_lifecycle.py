"""The lives of plugins: install, replace, enable, disable, remove."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from flexcore.application.command_bus import CommandBus, Outcome, Request
from flexcore.application.commands import (
    DisablePlugin,
    EnablePlugin,
    FromMarketplace,
    RegisterPlugin,
    RemovePlugin,
    ReplacePlugin,
)
from flexcore.application.plugin_lifecycle import CREATED
from flexcore.application.plugin_sources import Upload
from flexcore.application.plugin_views import PluginView
from flexcore.application.plugins import Plugins
from flexcore.domain.access import Role
from flexcore.domain.errors import InvalidInput
from flexcore.presentation.http.idempotency import fingerprint
from flexcore.presentation.http.operations import Answer, Call, Content, NoParameters, Operation
from flexcore.presentation.http.uploads import PackageUploads, SentPackage

_PLUGINS: Final = "/api/v1/flexcore/plugins"
_PLUGIN: Final = _PLUGINS + "/{id}"
_PROBLEMS: Final = (404, 409, 422, 429, 503)

VersionText = Annotated[str, Meta(min_length=1, max_length=255, description="A version, or a range such as >=1.0,<2")]


class MarketplaceBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A package of the marketplace; without a version the newest."""

    source: Literal["marketplace"]
    id: Annotated[str, Meta(min_length=1, max_length=63)]
    version: VersionText | None = None


class RemoveQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of DELETE plugins/{id}."""

    cascade: Annotated[bool, Meta(description="Remove the plugins that depend on it as well")] = False


class PluginLifecycleRoutes:
    """What changes plugins, at and below /api/v1/flexcore/plugins."""

    def __init__(self, plugins: Plugins, commands: CommandBus, uploads: PackageUploads) -> None:
        self._plugins = plugins
        self._commands = commands
        self._uploads = uploads

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        plugin = {200: Content(PluginView, "The plugin")}
        return (
            Operation(
                method="POST",
                path=_PLUGINS,
                name="installPlugin",
                summary="Install a plugin, from a package that is sent or from the marketplace",
                tag="plugins",
                handler=self._install,
                body=MarketplaceBody,
                uploads=self._uploads,
                idempotent=True,
                answers={
                    200: Content(PluginView, "The plugin, which was there in this version"),
                    201: Content(PluginView, "The plugin"),
                },
                problems=_PROBLEMS,
            ),
            Operation(
                method="PUT",
                path=_PLUGIN,
                name="replacePlugin",
                summary="Put another version in the place of the present one, which serves until the new one answers",
                tag="plugins",
                handler=self._replace,
                body=MarketplaceBody,
                uploads=self._uploads,
                idempotent=True,
                answers=plugin,
                problems=_PROBLEMS,
            ),
            Operation(
                method="POST",
                path=_PLUGIN + "/enable",
                name="enablePlugin",
                role=Role.OPERATOR,
                summary="Let a plugin be executed",
                tag="plugins",
                handler=self._enable,
                answers=plugin,
                problems=(404, 429, 503),
            ),
            Operation(
                method="POST",
                path=_PLUGIN + "/disable",
                name="disablePlugin",
                role=Role.OPERATOR,
                summary="Let a plugin no longer be executed; what runs goes on",
                tag="plugins",
                handler=self._disable,
                answers=plugin,
                problems=(404, 429, 503),
            ),
            Operation(
                method="DELETE",
                path=_PLUGIN,
                name="removePlugin",
                summary="Take a plugin away; those that come with FlexCore stay",
                tag="plugins",
                handler=self._remove,
                query=RemoveQuery,
                idempotent=True,
                answers={204: Content(None, "It is gone", media_type="")},
                problems=(404, 409, 429, 503),
            ),
        )

    async def _install(self, call: Call[NoParameters, MarketplaceBody | SentPackage]) -> Answer:
        body = call.body
        if isinstance(body, SentPackage):
            try:
                outcome = await self._send("installPlugin", RegisterPlugin(None, _upload(body)), call, _said(body))
            finally:
                body.discard()
        else:
            command = RegisterPlugin(body.id, FromMarketplace(body.version))
            outcome = await self._send("installPlugin", command, call, [body.id, body.version])
        status = 201 if outcome.facts[CREATED] else 200
        return Answer(await self._plugins.get(outcome.aggregate_id), status)

    async def _replace(self, call: Call[NoParameters, MarketplaceBody | SentPackage]) -> Answer:
        plugin_id, body = call.path["id"], call.body
        if isinstance(body, SentPackage):
            try:
                command = ReplacePlugin(plugin_id, _upload(body))
                await self._send("replacePlugin", command, call, [plugin_id, *_said(body)])
            finally:
                body.discard()
        else:
            if body.id != plugin_id:
                raise InvalidInput.field("id", f"must be '{plugin_id}', as in the path")
            command = ReplacePlugin(plugin_id, FromMarketplace(body.version))
            await self._send("replacePlugin", command, call, [plugin_id, body.version])
        return Answer(await self._plugins.get(plugin_id))

    async def _enable(self, call: Call[NoParameters, None]) -> Answer:
        await self._send("enablePlugin", EnablePlugin(call.path["id"]), call, [call.path["id"]])
        return Answer(await self._plugins.get(call.path["id"]))

    async def _disable(self, call: Call[NoParameters, None]) -> Answer:
        await self._send("disablePlugin", DisablePlugin(call.path["id"]), call, [call.path["id"]])
        return Answer(await self._plugins.get(call.path["id"]))

    async def _remove(self, call: Call[RemoveQuery, None]) -> Answer:
        plugin_id, cascade = call.path["id"], call.query.cascade
        await self._send("removePlugin", RemovePlugin(plugin_id, cascade), call, [plugin_id, cascade])
        return Answer(None, 204)

    async def _send(self, operation: str, command: object, call: Call[Any, Any], said: list[Any]) -> Outcome:
        """Do a command; `said` tells it from others under the same Idempotency-Key."""
        key = call.idempotency_key
        request = Request(
            call.correlation_id,
            call.actor.name,
            key=None if key is None else f"{operation}:{key}",
            fingerprint=fingerprint(said),
        )
        return await self._commands.send(command, request)


def _upload(sent: SentPackage) -> Upload:
    return Upload(sent.path, sent.signature)


def _said(sent: SentPackage) -> list[Any]:
    return [sent.digest, sent.signature]
