"""A variable with a role's prefix that the role does not have is found, with what was probably meant."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from ansible.errors import AnsibleError

ROOT = Path(__file__).resolve().parents[3]
SPECIFICATION = """
argument_specs:
  main:
    options:
      redis_port: {type: int}
      redis_users: {type: list}
  other:
    options:
      redis_memory: {type: str}
"""


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    file = ROOT / "plugins" / "lookup" / "unknown_role_variables.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def role(tmp_path: Path) -> Path:
    meta = tmp_path / "redis" / "meta"
    meta.mkdir(parents=True)
    (meta / "argument_specs.yml").write_text(SPECIFICATION)
    return tmp_path / "redis"


def found(plugin: ModuleType, role: Path, *names: str) -> list[str]:
    return plugin.LookupModule().run([str(role)], variables=dict.fromkeys(names, 1))


def test_variables_of_every_entry_point_are_known(plugin: ModuleType, role: Path) -> None:
    assert found(plugin, role, "redis_port", "redis_users", "redis_memory") == []


def test_a_misspelled_variable_is_found_with_what_was_meant(plugin: ModuleType, role: Path) -> None:
    assert found(plugin, role, "redis_prot") == ["redis_prot (did you mean redis_port?)"]


def test_an_unlike_variable_is_found_without_a_guess(plugin: ModuleType, role: Path) -> None:
    assert found(plugin, role, "redis_zzzzzzzzzzzz") == ["redis_zzzzzzzzzzzz"]


def test_other_names_are_nobodys_business(plugin: ModuleType, role: Path) -> None:
    assert found(plugin, role, "_redis_state", "redistribute", "flexcore_redis_port", "postgresql_port") == []


def test_all_are_found_in_order(plugin: ModuleType, role: Path) -> None:
    assert found(plugin, role, "redis_zz", "redis_aa") == ["redis_aa", "redis_zz"]


def test_a_role_without_a_specification_is_an_error_that_names_the_file(plugin: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(AnsibleError, match=r"argument_specs\.yml"):
        found(plugin, tmp_path / "nothing", "nothing_here")
