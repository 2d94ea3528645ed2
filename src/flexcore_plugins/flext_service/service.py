"""flext-service: speaks to the FLEXT service, FlexCore's companion data platform, over its HTTP API."""

import json
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from flexcore_plugin import OperationFailed, log

_QUICK_SECONDS: Final = 10
# Work is waited for as long as an execution may last at all; its own time limit ends it before.
_WORK_SECONDS: Final = 300
_MOST_BYTES: Final = 4 << 20
_AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")


class FlextService:
    """Each public method is one command of the manifest. The setting `url` says where the service is."""

    def __init__(self, configuration: Mapping[str, object]) -> None:
        self._url = str(configuration.get("url", ""))

    def health(self) -> dict[str, object]:
        """Ask the service how it is."""
        return self._call("GET", "/health")

    def list_plugins(self) -> dict[str, object]:
        """List the service's plugins."""
        return self._call("GET", "/api/v1/plugins")

    def execute_pipeline(self, pipeline: dict[str, object]) -> dict[str, object]:
        """Run a Meltano pipeline."""
        return self._call("POST", "/api/v1/meltano/execute", pipeline)

    def execute_singer_pipeline(
        self,
        tap: str,
        target: str,
        config: dict[str, object] | None = None,
        catalog: dict[str, object] | None = None,
        state: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """Run a Singer tap into a Singer target."""
        body = {"tap": tap, "target": target, "config": config or {}, "catalog": catalog, "state": state}
        return self._call("POST", "/api/v1/pipelines/execute", body, {"X-Pipeline-Type": "singer"})

    def pipeline_status(self, pipeline_id: str) -> dict[str, object]:
        """Ask how a pipeline fares."""
        return self._call("GET", f"/api/v1/pipelines/{quote(pipeline_id, safe='')}/status")

    def run_dbt(
        self,
        project_path: str,
        models: list[str],
        vars: dict[str, object] | None = None,  # noqa: A002 - its name in the service
        target: str = "dev",
    ) -> dict[str, object]:
        """Run models of a dbt project."""
        body = {"project_path": project_path, "models": models, "vars": vars or {}, "target": target}
        return self._call("POST", "/api/v1/transformations/dbt/run", body, {"X-Transformation-Engine": "dbt"})

    def _call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, object]:
        """Give `{status_code, body}`; raises OperationFailed if there is no answer, or none that is JSON and 2xx."""
        seconds = _WORK_SECONDS if method == "POST" else _QUICK_SECONDS
        connection, prefix = self._connection(seconds)
        service = f"{connection.host}:{connection.port}"
        try:
            connection.request(
                method,
                prefix + path,
                None if body is None else json.dumps(body),
                {"Accept": "application/json", "Content-Type": "application/json", **(headers or {})},
            )
            response = connection.getresponse()
            text = response.read(_MOST_BYTES + 1)
        except TimeoutError as error:
            raise OperationFailed(f"the FLEXT service does not answer within {seconds} s", service=service) from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise OperationFailed(f"the FLEXT service can't be reached: {reason}", service=service) from error
        finally:
            connection.close()
        log(f"{method} {path} answered {response.status}")
        return {"status_code": response.status, "body": _decoded(text, response.status, service)}

    def _connection(self, seconds: float) -> tuple[HTTPConnection, str]:
        """Make a connection, not yet open, and give what the paths of the service begin with."""
        address = urlsplit(self._url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise OperationFailed("the FLEXT service's address is not set; set services.flext-service")
        prefix = address.path.rstrip("/")
        if address.scheme == "http":
            return HTTPConnection(address.hostname, address.port, timeout=seconds), prefix
        context = ssl.create_default_context(cafile=str(_AUTHORITIES) if _AUTHORITIES.exists() else None)
        return HTTPSConnection(address.hostname, address.port, timeout=seconds, context=context), prefix


def _decoded(text: bytes, status: int, service: str) -> Any:
    if len(text) > _MOST_BYTES:
        raise OperationFailed(f"the FLEXT service's answer is longer than {_MOST_BYTES} bytes", service=service)
    try:
        body = json.loads(text)
    except ValueError as error:
        raise OperationFailed("the FLEXT service's answer is not JSON", service=service, status_code=status) from error
    if not 200 <= status < 300:
        raise OperationFailed(f"the FLEXT service answered {status}", service=service, status_code=status, body=body)
    return body
