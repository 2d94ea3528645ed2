"""Start and stop of the process: signals, drain, sockets, TLS, the service manager."""

import contextlib
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.server.flexcore_process import FlexCoreProcess, run_command, running
from tests.servers import PostgresServer, RedisServer, wait_until

WAIT = "/api/v1/flexcore/plugins/simple-processor/execute"


@contextmanager
def executing(api: httpx.Client, seconds: float) -> Iterator["Future[httpx.Response]"]:
    """Let a plugin wait for `seconds` while the block runs; it has begun when the block begins."""
    body = {"operation": "wait", "parameters": {"timeout_seconds": 60, "data": {"seconds": seconds}}}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(api.post, WAIT, json=body)
        wait_until(
            lambda: "flexcore_plugin_executions_running 1.0" in api.get("/metrics").text, 10, "the execution's start"
        )
        yield answer


def test_sigterm_lets_the_running_execution_finish(flexcore: FlexCoreProcess, api: httpx.Client) -> None:
    with executing(api, seconds=2) as answer:
        flexcore.signal(signal.SIGTERM)
        flexcore.wait_for_log("stopping")
        ready = api.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["reasons"] == ["draining: this node is shutting down"]
        refused = api.post(WAIT, json={"operation": "echo"})
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert answer.result().status_code == 200
        assert answer.result().json()["result"]["success"] is True
    assert flexcore.wait() == 0
    assert flexcore.stderr() == ""
    with pytest.raises(httpx.ConnectError):
        api.get("/health/live")


def test_sigterm_with_nothing_running_ends_at_once(flexcore: FlexCoreProcess, api: httpx.Client) -> None:
    assert api.get("/health/live").status_code == 200
    flexcore.signal(signal.SIGTERM)
    assert flexcore.wait() == 0


def test_an_execution_that_outlives_the_drain_is_cancelled_and_its_caller_told(environ: dict[str, str]) -> None:
    with running(environ | {"FLEXCORE_DRAIN_SECONDS": "1"}) as flexcore, flexcore.client() as api:
        with executing(api, seconds=50) as answer:
            flexcore.signal(signal.SIGTERM)
            assert answer.result().status_code == 503
            assert "shutting down" in answer.result().json()["detail"]
        assert flexcore.wait() == 0
        assert not [line for line in flexcore.log if line["level"] == "error"]


def test_a_second_sigterm_does_not_wait(flexcore: FlexCoreProcess, api: httpx.Client) -> None:
    with executing(api, seconds=50) as answer:
        flexcore.signal(signal.SIGTERM)
        flexcore.wait_for_log("stopping")
        flexcore.signal(signal.SIGTERM)
        assert flexcore.wait() == 1
        assert answer.result().status_code == 503


def descendants(pid: int) -> list[int]:
    """Every process below one."""
    found = [pid]
    for parent in found:
        for thread in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found[1:]


def test_a_cancelled_execution_leaves_no_process_and_is_in_the_log(
    environ: dict[str, str], flexcore: FlexCoreProcess, api: httpx.Client
) -> None:
    with executing(api, seconds=50):
        below = descendants(flexcore.pid)
        assert len(below) > 1, "the supervisor, and what it started"
        for _ in range(2):
            flexcore.signal(signal.SIGTERM)
        flexcore.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below), 10, "end of all that it started")
    with running(environ) as again, again.client() as other:
        found = other.get("/api/v1/flexcore/events", params={"event_type": "PluginExecutionFailed"}).json()["events"]
        assert len(found) == 1


@pytest.mark.parametrize("server", ["faulty_postgres", "faulty_redis"])
def test_it_stops_while_a_dependency_hangs(
    server: str, request: pytest.FixtureRequest, flexcore: FlexCoreProcess, api: httpx.Client
) -> None:
    hung: PostgresServer | RedisServer = request.getfixturevalue(server)
    assert api.get("/health/ready").status_code == 200
    hung.hang()
    flexcore.signal(signal.SIGTERM)
    assert flexcore.wait() == 0


def test_a_taken_port_is_one_line(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_command("serve", environ=environ | {"FLEXCORE_PORT": port, "FLEXCORE_API_TOKEN": "t" * 24})
    assert ended.returncode not in (0, 78)
    assert ended.stdout == ""
    assert ended.stderr == (
        f"flexcore: cannot listen on 127.0.0.1 port {port}: address already in use; "
        "stop what listens there, or set http.port or http.host\n"
    )


def test_a_foreign_address_is_one_line(environ: dict[str, str]) -> None:
    ended = run_command("serve", environ=environ | {"FLEXCORE_HOST": "192.0.2.1", "FLEXCORE_API_TOKEN": "t" * 24})
    assert ended.returncode not in (0, 78)
    assert ended.stderr.startswith("flexcore: cannot listen on 192.0.2.1 port 8080: cannot assign requested address")
    assert ended.stderr.count("\n") == 1


def test_a_setting_without_effect_is_one_warning(environ: dict[str, str], tmp_path: Path) -> None:
    variables = environ | {"OTEL_SERVICE_NAME": "core", "STATE_DIRECTORY": str(tmp_path)}
    with running(variables) as flexcore, flexcore.client():
        warnings = [line["message"] for line in flexcore.log if line["level"] == "warning"]
    assert warnings == [
        "telemetry.service_name from environment OTEL_SERVICE_NAME is not used: this version exports no traces"
    ]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(cert, key)
    return cert, key


def make_certificate(cert: Path, key: Path, *more: str) -> None:
    subject = ["-subj", "/CN=flexcore", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *(more or ("-nodes",))]
    command = ["openssl", "req", "-x509", *kind, "-keyout", str(key), "-out", str(cert), "-days", "2", *subject]
    subprocess.run(command, check=True, capture_output=True)


def test_tls_is_served_with_the_configured_certificate(environ: dict[str, str], certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    tls = {"FLEXCORE_TLS_CERT_FILE": str(cert), "FLEXCORE_TLS_KEY_FILE": str(key)}
    with running(environ | tls) as flexcore:
        url = flexcore.wait_for_log("listening on https://")["fields"]["url"]
        trust = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(base_url=url, verify=trust, trust_env=False) as api:
            assert api.get("/health/live").status_code == 200
        for oldest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            trust.minimum_version = trust.maximum_version = oldest
            with tls_connection(url, trust) as connection:
                assert connection.version() == oldest.name.replace("_", ".")
                assert connection.cipher()[0].startswith(("ECDHE", "TLS_"))
        trust.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            trust.minimum_version = trust.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError), tls_connection(url, trust):
            pass


@contextlib.contextmanager
def tls_connection(url: str, trust: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    address = httpx.URL(url)
    with (
        socket.create_connection((address.host, address.port or 0), timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname=address.host) as encrypted,
    ):
        yield encrypted


def test_a_renewed_certificate_is_taken_at_sighup_and_a_broken_one_is_not(
    environ: dict[str, str], certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    tls = {"FLEXCORE_TLS_CERT_FILE": str(cert), "FLEXCORE_TLS_KEY_FILE": str(key)}
    with running(environ | tls) as flexcore:
        url = flexcore.wait_for_log("listening on https://")["fields"]["url"]

        def served() -> str:
            address = httpx.URL(url)
            return ssl.get_server_certificate((address.host, address.port or 0), timeout=10)

        first = served()
        make_certificate(cert, key)
        renewed = cert.read_text()
        assert served() == first
        flexcore.signal(signal.SIGHUP)
        flexcore.wait_for_log("loaded the TLS certificate again")
        assert served() == renewed != first
        cert.write_text("nothing")
        flexcore.signal(signal.SIGHUP)
        flexcore.wait_for_log("cannot serve TLS with http.tls_cert_file")
        assert served() == renewed


def test_a_token_on_an_open_wire_is_one_warning(environ: dict[str, str], certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    tls = {"FLEXCORE_TLS_CERT_FILE": str(cert), "FLEXCORE_TLS_KEY_FILE": str(key)}
    for variables, warnings in (({}, 1), (tls, 0)):
        with running(environ | variables | {"FLEXCORE_HOST": "0.0.0.0"}) as flexcore:  # noqa: S104 - what it is about
            flexcore.wait_for_log("listening on ")
            assert sum("unencrypted" in line["message"] for line in flexcore.log) == warnings


def test_tls_files_that_do_not_work_are_one_line(
    environ: dict[str, str], certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    cert, key = certificate
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    other_cert, other_key = tmp_path / "other_cert.pem", tmp_path / "other_key.pem"
    make_certificate(other_cert, other_key, "-passout", "pass:secret")
    token = {"FLEXCORE_API_TOKEN": "t" * 24}
    for first, second, expected in (
        (tmp_path / "none.pem", key, "cannot read http.tls_cert_file"),
        (garbage, key, "not a PEM certificate with its key"),
        (cert, cert, "not a PEM certificate with its key"),
        (other_cert, key, "the key is not that of the certificate"),
        (other_cert, other_key, "the key is encrypted with a password"),
    ):
        tls = {"FLEXCORE_TLS_CERT_FILE": str(first), "FLEXCORE_TLS_KEY_FILE": str(second)}
        ended = run_command("serve", environ=environ | token | tls)
        assert ended.returncode not in (0, 78)
        assert expected in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_the_service_manager_hears_of_start_and_stop(environ: dict[str, str], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        with running(environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as flexcore:
            assert manager.recv(100) == b"READY=1"
            with flexcore.client() as api:
                assert api.get("/health/ready").status_code == 200
            flexcore.signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert flexcore.wait() == 0


def test_many_clients_at_the_moment_of_the_stop_get_whole_answers(flexcore: FlexCoreProcess, api: httpx.Client) -> None:
    broken: list[str] = []
    begun = threading.Barrier(9)

    def ask() -> None:
        with flexcore.client() as client:
            begun.wait()
            try:
                while True:
                    client.get("/api/v1/flexcore/plugins").json()
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                return  # a connection that was closed between two requests
            except ValueError as error:
                broken.append(str(error))

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(ask)
        begun.wait()
        flexcore.signal(signal.SIGTERM)
        assert flexcore.wait() == 0
    assert broken == []
