"""Executions under a real supervisor: how they begin, what they find, how they end."""

from tests.integration.sandbox.supervised import Server, python_plugin

PROBE = python_plugin("probe", "probe:Probe")


def test_an_execution_from_start_to_end(server: Server) -> None:
    outcome = server.run(PROBE, "echo", {"name": "Ada"}, configuration={"colour": "blue"})
    assert outcome.result == {"data": {"name": "Ada"}, "configuration": {"colour": "blue"}}
    assert (outcome.ended.how, outcome.ended.exit_code) == ("exited", 0)
    assert outcome.ended.refused == ()
    assert outcome.ended.peak_memory_bytes > 0


def test_an_execution_shares_its_process_group_with_nobody(server: Server) -> None:
    outcome = server.run(PROBE, "evaluate", {"code": "os.kill(0, 9)"})
    assert (outcome.ended.how, outcome.ended.error) == ("exited", None)
    assert server.run(PROBE, "echo", {}).result == {"data": {}, "configuration": {}}
