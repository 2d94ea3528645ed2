"""What a pipeline has to be to be accepted."""

import itertools

import pytest

from flexcore.domain.errors import InvalidInput
from flexcore.domain.pipeline_definition import PipelineDefinition, StepDefinition
from flexcore.domain.retry import RetryPolicy
from flexcore.infrastructure.json_schema import JsonSchemaRules
from tests.unit.domain.pipelines import PLUGINS, definition, step


def refused(*steps: StepDefinition, name: str = "orders") -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        PipelineDefinition(name, steps).checked(PLUGINS, JsonSchemaRules(), 300)
    return [(error.field, error.message) for error in caught.value.errors]


def test_what_the_plugins_know_is_filled_in() -> None:
    checked = definition(step("a"), step("b", "a", name="Second"))
    assert [(s.name, s.type, s.operation) for s in checked.steps] == [
        ("a", "processor", "echo"),
        ("Second", "processor", "echo"),
    ]


def test_a_cycle_is_named_in_the_order_of_its_dependencies() -> None:
    ((field, message),) = refused(step("a"), step("b", "a", "d"), step("c", "b"), step("d", "c"))
    assert field == "steps"
    names = message.removeprefix("depend on each other in a circle: ").split(" → ")
    assert names[0] == names[-1]
    assert {*names} == {"b", "c", "d"}
    depends_on = {"b": "d", "c": "b", "d": "c"}
    assert all(depends_on[one] == other for one, other in itertools.pairwise(names))


def test_a_step_that_depends_on_itself_is_a_cycle() -> None:
    assert refused(step("a", "a")) == [("steps", "depend on each other in a circle: a → a")]


def test_every_wrong_field_is_named() -> None:
    steps = (
        step("a", timeout_seconds=301),
        step("a", "nobody", retry=RetryPolicy(max_attempts=0)),
        step("-"),
    )
    assert [field for field, _ in refused(*steps, name="")] == [
        "name",
        "steps[1].id",
        "steps[2].id",
        "steps[0].timeout_seconds",
        "steps[1].retry.max_attempts",
        "steps[1].depends_on",
    ]
    assert refused()[0][0] == "steps"


def test_unknown_plugins_and_operations_are_named_with_what_is_known() -> None:
    steps = (StepDefinition("a", "nope"), StepDefinition("b", "text", "lower"))
    assert refused(*steps) == [
        ("steps[0].plugin", "'nope' is not a known plugin; known are: text"),
        ("steps[1].operation", "'lower' is not an operation of plugin 'text'; allowed are: upper, echo"),
    ]


def test_parameters_are_checked_as_far_as_they_are_known() -> None:
    assert refused(step("a", operation="upper")) == [("steps[0].parameters.text", "is required")]
    assert refused(step("a", operation="upper", parameters={"text": 3}))[0][0] == "steps[0].parameters.text"
    definition(step("a", operation="upper", parameters={"text": {"$from": "parameters.text"}}))
    assert refused(step("a", operation="upper", parameters={"size": {"$from": "parameters.size"}})) == [
        ("steps[0].parameters.size", "is unknown; allowed are: text"),
        ("steps[0].parameters.text", "is required"),
    ]


def test_only_the_results_of_what_ran_before_can_be_used() -> None:
    late = {"x": {"$from": "steps.b.text"}}
    ((field, message),) = refused(step("a", parameters=late), step("b"))
    assert (field, message) == ("steps[0].parameters.x", "refers to 'b', on which step 'a' does not depend")
    assert refused(step("a", parameters={"x": [{"$from": "b"}]}))[0][0] == "steps[0].parameters.x[0]"
    definition(step("b"), step("m", "b"), step("a", "m", parameters=late))


def test_parameters_are_bounded_in_size() -> None:
    assert refused(step("a", parameters={"x": "y" * (1 << 20)})) == [
        ("steps", "hold parameters of 1048587 bytes, more than 1048576")
    ]
    pipeline = definition(step("a"))
    with pytest.raises(InvalidInput, match="more than 262144"):
        pipeline.check_parameters({"x": "y" * (1 << 18)})


def test_the_parameters_of_a_run_must_hold_what_the_steps_refer_to() -> None:
    pipeline = definition(
        step("a", parameters={"x": {"$from": "parameters.day"}, "y": {"$from": "parameters.hour", "default": 0}})
    )
    pipeline.check_parameters({"day": 1})
    with pytest.raises(InvalidInput, match=r"^parameters\.day is required"):
        pipeline.check_parameters({"hour": 1})
