"""What has to be done so that a pipeline is as it is declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .change import Change
from .errors import InputError

STATES = ("present", "active", "absent")
DRAFT, RUNNING = "draft", "running"
# What the server fills in where a definition says nothing (flexcore.domain.pipeline_definition).
STEP_DEFAULTS: Mapping[str, Any] = {
    "name": "",
    "parameters": {},
    "depends_on": [],
    "timeout_seconds": 30.0,
    "on_failure": "fail",
}
RETRY_DEFAULTS: Mapping[str, Any] = {
    "max_attempts": 3,
    "initial_backoff_ms": 1000,
    "max_backoff_ms": 60_000,
    "multiplier": 2.0,
    "jitter": 0.2,
}


@dataclass(frozen=True)
class PipelineGoal:
    """How a pipeline is wanted; without ``steps`` only its state is."""

    name: str
    state: str
    steps: Sequence[Mapping[str, Any]] | None
    description: str | None
    owner: str | None
    recreate: bool

    @property
    def body(self) -> dict[str, Any]:
        """What creates it."""
        return {
            "name": self.name,
            "steps": [_given(step) for step in self.steps or ()],
            "description": self.description or "",
            "owner": self.owner or "",
        }

    def plan(self, found: Mapping[str, Any] | None) -> PipelinePlan:
        """Compare what is there with what is wanted; raises InputError for what cannot be done."""
        before = {} if found is None else self._shown(found)
        if self.state == "absent":
            return PipelinePlan(Change(before, {}), removes=found is not None)
        if found is None and self.steps is None:
            raise InputError(f"there is no pipeline {self.name!r}, and steps are missing to create it: give steps")
        status = DRAFT if found is None else str(found.get("status"))
        differences = self._differences(found) if found is not None and self.steps is not None else []
        differs = bool(differences)
        if differs and not self.recreate:
            raise InputError(
                f"pipeline {self.name!r} differs from what is declared ({', '.join(differences)}): the server changes "
                "none in place, so set recreate to have it removed and created anew, or use another name"
            )
        if differs and status == RUNNING:
            raise InputError(
                f"pipeline {self.name!r} is running, so it cannot be replaced now: wait for the run to end"
            )
        creates = found is None or differs
        if creates:
            status = DRAFT
        activates = self.state == "active" and status == DRAFT
        wanted = self._shown(self.body) if creates else dict(before)
        wanted["status"] = "active" if activates else status
        return PipelinePlan(Change(before, wanted), removes=differs, creates=creates, activates=activates)

    def _differences(self, found: Mapping[str, Any]) -> list[str]:
        there, wanted = self._shown(found), self._shown(self.body)
        names = [name for name in ("description", "owner") if there[name] != wanted[name]]
        steps, declared = there["steps"], wanted["steps"]
        names += [f"step {step_id}" for step_id in [*steps, *declared] if steps.get(step_id) != declared.get(step_id)]
        if not names and list(steps) != list(declared):
            names.append("order of steps")
        return list(dict.fromkeys(names))

    def _shown(self, pipeline: Mapping[str, Any]) -> dict[str, Any]:
        steps = [step for step in pipeline.get("steps") or () if isinstance(step, Mapping)]
        declared = {str(step.get("id")): step for step in self.steps or ()}
        description, owner = pipeline.get("description") or "", pipeline.get("owner") or ""
        return {
            "name": self.name,
            "status": pipeline.get("status"),
            # What is not declared is taken as it is.
            "description": description if self.description is not None else "",
            "owner": owner if self.owner is not None else "",
            "steps": {str(step.get("id")): filled_in(step, declared.get(str(step.get("id")), {})) for step in steps},
        }


@dataclass(frozen=True)
class PipelinePlan:
    """The steps to take, in this order, and the change they make together."""

    change: Change
    removes: bool = False
    creates: bool = False
    activates: bool = False


def _given(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a declaration says, without the options that Ansible fills in with None."""
    given = {name: value for name, value in step.items() if value is not None}
    if "retry" in given:
        given["retry"] = {name: value for name, value in given["retry"].items() if value is not None}
    return given


def filled_in(step: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step with the defaults that the server puts in; its operation only where one is declared."""
    given = _given(step)
    retry = {**RETRY_DEFAULTS, **given.get("retry", {})}
    found: dict[str, Any] = {"plugin": given.get("plugin")}
    if declared.get("operation") is not None:
        found["operation"] = given.get("operation")
    for name, default in STEP_DEFAULTS.items():
        found[name] = given.get(name, default)
    if not declared.get("name"):
        # The server calls a step by its id when nobody else does.
        found.pop("name")
    found["depends_on"] = sorted(found["depends_on"])
    found["timeout_seconds"] = float(found["timeout_seconds"])
    found["retry"] = {name: float(value) for name, value in retry.items()}
    return found
