"""flext-service: speaks to the FLEXT service, FlexCore's companion data platform, over its HTTP API."""

import json

from flexcore_plugin import OperationFailed, log

MANIFEST = {
    "id": "flext-service",
    "name": "FLEXT service",
    "version": "1.0.0",
    "type": "service",
    "description": "Speaks to the FLEXT service, the data platform beside FlexCore",
    "entry_point": "flexcore.infrastructure.sandbox.builtin.flext_service:FlextService",
    "capabilities": ["http", "pipelines"],
    "default_operation": "health",
    "operations": [
        {"name": "health", "description": "Ask the service how it is"},
        {"name": "list_plugins", "description": "List the service's plugins"},
        {
            "name": "execute_pipeline",
            "description": "Run a Meltano pipeline",
            "parameters": [
                {"name": "pipeline", "type": "object", "description": "The pipeline's definition", "required": True}
            ],
        },
        {
            "name": "pipeline_status",
            "description": "Ask how a pipeline fares",
            "parameters": [
                {"name": "pipeline_id", "type": "string", "description": "The pipeline's id", "required": True}
            ],
        },
    ],
}

_TIMEOUT_SECONDS = 10
_MOST_BYTES = 4 << 20


class FlextService:
    """Each public method is one operation of the manifest. The setting `url` says where the service is."""

    def __init__(self, configuration: dict[str, object]) -> None:
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

    def pipeline_status(self, pipeline_id: str) -> dict[str, object]:
        """Ask how a pipeline fares."""
        from urllib.parse import quote

        return self._call("GET", f"/api/v1/pipelines/{quote(pipeline_id, safe='')}/status")

    def _call(self, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
        """Give `{status_code, body}`; raises OperationFailed if there is no answer, or none that is JSON and 2xx."""
        # These modules take longer to load than Python takes to start, so only who calls pays for them.
        from http.client import HTTPConnection, HTTPException, HTTPSConnection
        from urllib.parse import urlsplit

        address = urlsplit(self._url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise OperationFailed("the FLEXT service's address is not set; set services.flext-service")
        kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
        connection = kind(address.hostname, address.port, timeout=_TIMEOUT_SECONDS)
        service = f"{address.hostname}:{connection.port}"
        try:
            headers = {"Accept": "application/json", "Content-Type": "application/json"}
            connection.request(
                method, address.path.rstrip("/") + path, json.dumps(body) if body is not None else None, headers
            )
            response = connection.getresponse()
            text = response.read(_MOST_BYTES + 1)
        except TimeoutError as error:
            raise OperationFailed(
                f"the FLEXT service does not answer within {_TIMEOUT_SECONDS} s", service=service
            ) from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise OperationFailed(f"the FLEXT service can't be reached: {reason}", service=service) from error
        finally:
            connection.close()
        log(f"{method} {path} answered {response.status}")
        return {"status_code": response.status, "body": _decoded(text, response.status, service)}


def _decoded(text: bytes, status: int, service: str) -> object:
    if len(text) > _MOST_BYTES:
        raise OperationFailed(f"the FLEXT service's answer is longer than {_MOST_BYTES} bytes", service=service)
    try:
        body = json.loads(text)
    except ValueError as error:
        raise OperationFailed("the FLEXT service's answer is not JSON", service=service, status_code=status) from error
    if not 200 <= status < 300:
        raise OperationFailed(f"the FLEXT service answered {status}", service=service, status_code=status, body=body)
    return body
