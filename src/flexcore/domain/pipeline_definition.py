"""What a pipeline is to do: steps of plugins, joined into a directed acyclic graph, and the rules it has to meet."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from flexcore.domain.errors import FieldError, InvalidInput
from flexcore.domain.manifest import ParameterRules, PluginManifest
from flexcore.domain.retry import RetryPolicy
from flexcore.domain.step_parameters import NotResolvedError, Reference, reference_places, references, resolve

MAX_STEPS: Final = 200
LONGEST_NAME: Final = 255
LONGEST_DESCRIPTION: Final = 4000
MIN_TIMEOUT_SECONDS: Final = 1
# A pipeline is read anew for each of its steps, and kept in memory by every node that runs one.
LARGEST_STEPS_BYTES: Final = 1 << 20
LARGEST_PARAMETERS_BYTES: Final = 1 << 18

_STEP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class OnFailure(StrEnum):
    """What becomes of the run when a step has failed for good: it fails, it goes on, or it leaves out what follows."""

    FAIL = "fail"
    CONTINUE = "continue"
    SKIP_DEPENDENTS = "skip_dependents"


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """One operation of a plugin. `type` is the plugin's, as it was when the pipeline was created."""

    id: str
    plugin: str
    operation: str | None = None
    name: str = ""
    type: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    timeout_seconds: float = 30.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    on_failure: OnFailure = OnFailure.FAIL


@dataclass(frozen=True, slots=True)
class PipelineDefinition:
    """A pipeline as its creator wrote it."""

    name: str
    steps: tuple[StepDefinition, ...]
    description: str = ""
    owner: str = ""

    def step(self, step_id: str) -> StepDefinition | None:
        """Find a step."""
        return next((step for step in self.steps if step.id == step_id), None)

    def checked(
        self, plugins: Mapping[str, PluginManifest], rules: ParameterRules, max_timeout_seconds: float
    ) -> "PipelineDefinition":
        """Return the definition with everything filled in that the plugins know better.

        Raises InvalidInput that names every wrong field, the steps of a cycle, and what is known in place of an
        unknown plugin or operation.
        """
        errors = [*self._wrong_names(), *self._wrong_policies(max_timeout_seconds), *self._wrong_graph()]
        errors += _too_large("steps", [step.parameters for step in self.steps], LARGEST_STEPS_BYTES)
        if not errors:
            # Only in a sound graph is there an answer to what comes before what.
            errors = [*self._wrong_references(), *self._wrong_plugins(plugins, rules)]
        if errors:
            raise InvalidInput.fields(errors)
        return replace(self, steps=tuple(_filled_in(step, plugins[step.plugin]) for step in self.steps))

    def check_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Raise InvalidInput naming each parameter of a run that some step needs and `parameters` lacks."""
        errors = {error.field: error for error in _too_large("parameters", parameters, LARGEST_PARAMETERS_BYTES)}
        for _, _, reference in self._references():
            if isinstance(reference, Reference) and reference.step is None:
                try:
                    resolve({"$from": reference.text}, parameters, {})
                except NotResolvedError:
                    if not reference.has_default:
                        errors[reference.text] = FieldError(reference.text, "is required: a step refers to it")
        if errors:
            raise InvalidInput("; ".join(f"{e.field} {e.message}" for e in errors.values()), tuple(errors.values()))

    def _wrong_names(self) -> Iterator[FieldError]:
        if not 1 <= len(self.name) <= LONGEST_NAME:
            yield FieldError("name", f"must be 1 to {LONGEST_NAME} characters")
        for name, text in (("name", self.name), ("description", self.description), ("owner", self.owner)):
            # The tables that lists are read from have no place for it.
            if "\0" in text:
                yield FieldError(name, "must not contain the character NUL")
        if len(self.description) > LONGEST_DESCRIPTION:
            yield FieldError("description", f"must be at most {LONGEST_DESCRIPTION} characters")
        if not 1 <= len(self.steps) <= MAX_STEPS:
            yield FieldError("steps", f"must be 1 to {MAX_STEPS} steps, not {len(self.steps)}")
        seen = set[str]()
        for index, step in enumerate(self.steps):
            if _STEP_ID.fullmatch(step.id) is None:
                yield FieldError(f"steps[{index}].id", "must be 1 to 63 letters, digits, _ and -, no _ or - first")
            elif step.id in seen:
                yield FieldError(f"steps[{index}].id", f"'{step.id}' is the id of an earlier step too")
            if len(step.name) > LONGEST_NAME or "\0" in step.name:
                yield FieldError(f"steps[{index}].name", f"must be at most {LONGEST_NAME} characters, none NUL")
            seen.add(step.id)

    def _wrong_policies(self, max_timeout_seconds: float) -> Iterator[FieldError]:
        for index, step in enumerate(self.steps):
            if not MIN_TIMEOUT_SECONDS <= step.timeout_seconds <= max_timeout_seconds:
                message = f"must be {MIN_TIMEOUT_SECONDS} to {max_timeout_seconds:g}"
                yield FieldError(f"steps[{index}].timeout_seconds", message)
            yield from step.retry.problems(f"steps[{index}].retry")

    def _wrong_graph(self) -> Iterator[FieldError]:
        known = {step.id for step in self.steps}
        for index, step in enumerate(self.steps):
            for dependency in step.depends_on:
                if dependency not in known:
                    yield FieldError(f"steps[{index}].depends_on", f"names '{dependency}', which is no step")
        try:
            TopologicalSorter({step.id: step.depends_on for step in self.steps}).prepare()
        except CycleError as error:
            # It lists each step before the one that depends on it.
            cycle = " → ".join(reversed(error.args[1]))
            yield FieldError("steps", f"depend on each other in a circle: {cycle}")

    def _wrong_references(self) -> Iterator[FieldError]:
        before = self._ancestors()
        for index, place, reference in self._references():
            field_name = f"steps[{index}].parameters{place}"
            if isinstance(reference, str):
                yield FieldError(field_name, reference)
            elif reference.step is not None and reference.step not in before[self.steps[index].id]:
                step = self.steps[index].id
                yield FieldError(field_name, f"refers to '{reference.step}', on which step '{step}' does not depend")

    def _wrong_plugins(self, plugins: Mapping[str, PluginManifest], rules: ParameterRules) -> Iterator[FieldError]:
        for index, step in enumerate(self.steps):
            manifest = plugins.get(step.plugin)
            if manifest is None:
                known = ", ".join(sorted(plugins)) or "none"
                yield FieldError(f"steps[{index}].plugin", f"'{step.plugin}' is not a known plugin; known are: {known}")
                continue
            later = tuple(reference_places(step.parameters))
            try:
                command = manifest.command(step.operation)
                command.check(step.parameters, rules, field_name=f"steps[{index}].parameters", later=later)
            except InvalidInput as error:
                prefix = f"steps[{index}]."
                for wrong in error.errors:
                    name = wrong.field if wrong.field.startswith(prefix) else prefix + wrong.field
                    yield FieldError(name, wrong.message)

    def _references(self) -> Iterator[tuple[int, str, Reference | str]]:
        for index, step in enumerate(self.steps):
            for place, reference in references(step.parameters):
                yield index, place, reference

    def _ancestors(self) -> Mapping[str, set[str]]:
        depends_on = {step.id: step.depends_on for step in self.steps}
        found: dict[str, set[str]] = {}
        for step_id in TopologicalSorter(depends_on).static_order():
            found[step_id] = set(depends_on[step_id]).union(*(found[parent] for parent in depends_on[step_id]))
        return found


def _too_large(field_name: str, value: Any, most_bytes: int) -> Iterator[FieldError]:
    size = len(json.dumps(value, ensure_ascii=False))
    if size > most_bytes:
        yield FieldError(field_name, f"hold parameters of {size} bytes, more than {most_bytes}")


def _filled_in(step: StepDefinition, manifest: PluginManifest) -> StepDefinition:
    operation = manifest.command(step.operation).name
    return replace(step, name=step.name or step.id, type=manifest.type, operation=operation)
