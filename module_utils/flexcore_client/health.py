"""The verdict on one service: ask it, and turn what it said, or that it said nothing, into a ServiceHealth."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Callable, NamedTuple

from .address import Address
from .clock import Clock, Deadline, rfc3339
from .connection import Connection
from .dialects import Dialect, detect, forced_dialect
from .errors import ClientError, FailureKind
from .models import HealthStatus, ServiceHealth
from .normalise import components, error_text, health_status, optional_text, uptime_seconds
from .retry import NO_RETRIES
from .targets import Target
from .text import printable
from .transport import Answer, HttpTransport
from .wire import probe

HEALTH_PATH = "/health"
# No connection or no answer is a fact about the service. A strange answer leaves open what is behind the address.
VERDICT_OF_FAILURE = {
    FailureKind.REFUSED: HealthStatus.UNHEALTHY,
    FailureKind.UNREACHABLE: HealthStatus.UNHEALTHY,
    FailureKind.TIMEOUT: HealthStatus.UNHEALTHY,
    FailureKind.TLS: HealthStatus.UNHEALTHY,
}
# These components work through others, so their failure is a consequence when that other failed too.
CONSEQUENCE_OF = {"event_store": "postgresql", "job_queue": "postgresql"}


async def check_service(target: Target, deadline: Deadline, clock: Clock, connection: Connection) -> ServiceHealth:
    """Return the verdict on ``target``, within ``deadline`` and without an exception for anything a server does."""
    try:
        if target.address.service != "flexcore":
            return await _check_wire(target, deadline, clock)
        async with connection.transport(
            target.address, clock, token=target.token, deadline=deadline, retry=NO_RETRIES
        ) as transport:
            return await _check_flexcore(target, transport, clock)
    except ClientError as error:
        return failed(target, clock, error)


def failed(target: Target, clock: Clock, error: ClientError) -> ServiceHealth:
    """Return the verdict for a target that gave no usable answer."""
    return verdict(
        target,
        clock,
        VERDICT_OF_FAILURE.get(error.kind, HealthStatus.UNKNOWN),
        cause=error.reason,
        failure=error.kind.value,
        phase=error.phase,
        message=str(error),
    )


def unchecked(target: Target, cause: str) -> ServiceHealth:
    """Return the verdict for a target that nobody looked at."""
    details = {"url": target.address.url, "service": target.address.service, "culprit": target.address.service}
    return ServiceHealth(target.name, HealthStatus.UNKNOWN, None, None, None, None, {**details, "cause": cause})


def verdict(
    target: Target,
    clock: Clock,
    status: HealthStatus,
    *,
    cause: str | None = None,
    culprit: str | None = None,
    response_time_ms: float | None = None,
    version: str | None = None,
    uptime: int | None = None,
    **details: Any,
) -> ServiceHealth:
    """Build the result; the culprit is the service itself unless another one is named."""
    blamed = culprit or (None if status is HealthStatus.HEALTHY else target.address.service)
    return ServiceHealth(
        service_name=target.name,
        status=status,
        response_time_ms=response_time_ms,
        version=version,
        uptime=uptime,
        last_check=rfc3339(clock.now()),
        details={
            "url": target.address.url,
            "service": target.address.service,
            "cause": cause,
            "culprit": blamed,
            **details,
        },
    )


async def _check_wire(target: Target, deadline: Deadline, clock: Clock) -> ServiceHealth:
    answer = await probe(target.address, deadline, clock)
    status = HealthStatus.UNHEALTHY if answer.trouble else HealthStatus.HEALTHY
    return verdict(
        target,
        clock,
        status,
        cause=answer.trouble,
        response_time_ms=answer.elapsed_ms,
        evidence=answer.evidence,
    )


async def _check_flexcore(target: Target, transport: HttpTransport, clock: Clock) -> ServiceHealth:
    answer = await transport.get(HEALTH_PATH, {"detail": "true"})
    if 300 <= answer.status < 500:
        raise _no_verdict(target.address, answer)
    try:
        document = answer.json()
    except ClientError as error:
        if answer.status >= 500:
            cause = f"answered {answer.status} to {HEALTH_PATH}: {answer.text or 'an empty body'}"
            return verdict(target, clock, HealthStatus.UNHEALTHY, cause=cause, response_time_ms=answer.elapsed_ms)
        raise error from None
    claims: Mapping[str, Any] = document if isinstance(document, dict) else {}
    dialect: Dialect | None = forced_dialect(target.api)
    evidence = f"forced by api: {target.api}"
    if dialect is None:
        dialect, evidence = await detect(document, _json_asker(transport))
    judgement = judge(answer.status, claims, dialect, evidence)
    if dialect is not None and dialect.signal is not None and judgement.status is HealthStatus.HEALTHY:
        judgement = await _judge_by_signal(transport, dialect.signal, dialect.caveat)
    return verdict(
        target,
        clock,
        judgement.status,
        cause=judgement.cause,
        culprit=judgement.culprit,
        response_time_ms=answer.elapsed_ms,
        version=optional_text(claims.get("version")),
        uptime=uptime_seconds(claims.get("uptime")),
        dialect=dialect.name if dialect else None,
        evidence=evidence,
        caveat=dialect.caveat if dialect else None,
        node_id=optional_text(claims.get("node_id")),
        components=components(claims),
    )


class Judgement(NamedTuple):
    """A verdict with its cause, and the component to look at first when it is not the service itself."""

    status: HealthStatus
    cause: str | None = None
    culprit: str | None = None


def judge(http_status: int, claims: Mapping[str, Any], dialect: Dialect | None, evidence: str) -> Judgement:
    """Judge a decoded health answer.

    A claim to be healthy or degraded counts only from a known dialect; a claim to be ill is believed from anybody.
    """
    claimed = health_status(claims.get("status"))
    cause, culprit = blame(components(claims))
    if http_status >= 500 or claimed is HealthStatus.UNHEALTHY:
        words = cause or error_text(claims) or f"answered {http_status} with status {_shown(claims)}"
        return Judgement(HealthStatus.UNHEALTHY, words, culprit)
    if dialect is None:
        return Judgement(HealthStatus.UNKNOWN, f"this is no FlexCore API that the client knows ({evidence})")
    if claimed is HealthStatus.UNKNOWN:
        return Judgement(HealthStatus.UNKNOWN, f"the health status {_shown(claims)} is not a known word")
    if claimed is HealthStatus.DEGRADED:
        return Judgement(claimed, cause or error_text(claims) or "says it is degraded and not why", culprit)
    if cause is not None:
        return Judgement(HealthStatus.DEGRADED, f"claims healthy, but {cause}", culprit)
    return Judgement(claimed)


def blame(parts: Mapping[str, Mapping[str, Any]]) -> tuple[str | None, str | None]:
    """Return what is wrong according to the components, and the one to look at first."""
    ill = {name: part for name, part in parts.items() if part["status"] in ("UNHEALTHY", "DEGRADED")}
    roots = [name for name in ill if CONSEQUENCE_OF.get(name) not in ill]
    roots.sort(key=lambda name: (ill[name]["status"] != "UNHEALTHY", name not in ("postgresql", "redis")))
    if not roots:
        return None, None
    return "; ".join(f"{name}: {ill[name]['message'] or ill[name]['status'].lower()}" for name in roots), roots[0]


async def _judge_by_signal(transport: HttpTransport, signal: str, caveat: str) -> Judgement:
    """Let the one route that reflects something decide, since a constant /health proves nothing."""
    claim = f"claims healthy, but {caveat}"
    try:
        answer = await transport.get(signal)
    except ClientError as error:
        return Judgement(HealthStatus.UNKNOWN, f"{claim}, and {signal}: {error.reason}")
    if answer.status == 200:
        return Judgement(HealthStatus.HEALTHY)
    if answer.status >= 500:
        return Judgement(HealthStatus.UNHEALTHY, f"claims healthy, but its Redis bus is down ({answer.text})", "redis")
    return Judgement(HealthStatus.UNKNOWN, f"{claim}, and this build has no route that proves more")


def _json_asker(transport: HttpTransport) -> Callable[[str], Awaitable[Any]]:
    async def ask(path: str) -> Any:
        answer = await transport.get(path)
        if answer.status != 200:
            raise _no_verdict(transport.address, answer)
        return answer.json()

    return ask


def _no_verdict(address: Address, answer: Answer) -> ClientError:
    if 300 <= answer.status < 400:
        reason = f"answered {answer.status}, a redirect, which is not followed"
    elif answer.status in (401, 403):
        reason = f"answered {answer.status}: it wants a token that may read it"
    else:
        reason = f"answered {answer.status}: {answer.text or 'an empty body'}"
    return ClientError(
        FailureKind.HTTP_STATUS,
        what=f"GET {address.url}{answer.path}",
        reason=reason,
        next_step="Check that the address is FlexCore's own, without a proxy that redirects or asks for a login.",
    )


def _shown(claims: Mapping[str, Any]) -> str:
    return printable(repr(claims.get("status")), limit=40)
