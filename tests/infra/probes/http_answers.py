"""What an HTTP server answers."""

import http.client
import json
import ssl
import urllib.parse


def ask(url, path, headers):
    """Status, headers (names in lower case) and body of one GET; the body decoded where it is JSON."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, timeout=10, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    fields = {name.lower(): value for name, value in response.getheaders()}
    is_json = fields.get("content-type", "").split(";")[0].endswith("json")
    return {"status": response.status, "headers": fields, "body": json.loads(text) if is_json else text}


def collect(url, token, correlation_id, open_paths, token_paths):
    """Answers by path: `open_paths` asked without credentials, `token_paths` with the bearer token and without."""
    headers = {"X-Correlation-ID": correlation_id}
    known = {**headers, "Authorization": f"Bearer {token}"}
    wrong = {**headers, "Authorization": "Bearer not-the-token-not-the-token"}
    return {
        "open": {path: ask(url, path, headers) for path in open_paths},
        "known": {path: ask(url, path, known) for path in token_paths},
        "unknown": {path: ask(url, path, headers) for path in token_paths},
        "wrong": {path: ask(url, path, wrong) for path in token_paths},
    }
