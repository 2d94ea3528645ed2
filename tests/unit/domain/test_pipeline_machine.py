"""Random pipelines in random histories: whatever nodes and callers do to one, its stream keeps the promises.

The model is the set of deliveries that were ever queued. They come in any order, more than once, and late; nodes die
in mid-attempt, and what they left behind comes back and tries to end what others took over.
"""

from collections import Counter, defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flexcore.domain.errors import Conflict
from flexcore.domain.pipeline import Attempt, Decision, Delivery, Failure, FailureReason, Pipeline
from flexcore.domain.pipeline_definition import OnFailure, StepDefinition
from flexcore.domain.retry import RetryPolicy
from tests.unit.domain.pipelines import METADATA, Stream, step

ENDS = {"PipelineCompleted", "PipelineFailed", "PipelineCancelled"}
NAMES = "abcdefg"
DRAWS = st.floats(0, 1, exclude_max=True)


@st.composite
def graphs(draw: st.DrawFn) -> list[StepDefinition]:
    """Steps that depend on any of those before them, given in any order."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    steps = []
    for number, name in enumerate(names):
        depends_on = draw(st.sets(st.sampled_from(names[:number]), max_size=3)) if number else set()
        retry = RetryPolicy(max_attempts=draw(st.integers(1, 3)))
        on_failure = draw(st.sampled_from(OnFailure))
        steps.append(step(name, *sorted(depends_on), retry=retry, on_failure=on_failure))
    return draw(st.permutations(steps))


class PipelineMachine(RuleBasedStateMachine):
    """One pipeline, any number of nodes and callers."""

    def __init__(self) -> None:
        super().__init__()
        self.delivered: list[Attempt] = []
        self.runs = 0
        self.incremental = Pipeline("p")

    @initialize(steps=graphs())
    def create(self, steps: list[StepDefinition]) -> None:
        self.stream = Stream(*steps)
        self.steps = {step.id: step for step in steps}

    @rule()
    def start(self) -> None:
        self.runs += 1
        try:
            self.stream.start(f"run{self.runs}")
        except Conflict:
            assert self.running

    @precondition(lambda self: self.stream.queued)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """A node takes any waiting job and begins the attempt, if it is still wanted."""
        index = data.draw(st.integers(0, len(self.stream.queued) - 1))
        attempt = self.stream.queued.pop(index).attempt
        self.delivered.append(attempt)
        begun = self.stream.begin(attempt)
        assert (begun == []) == (not self.running or attempt.execution_id != self.current)

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """The same job again: it is never fresh a second time."""
        attempt = data.draw(st.sampled_from(self.delivered))
        assert self.stream.pipeline.delivery(attempt) is not Delivery.FRESH
        assert self.stream.begin(attempt) == []

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.delivered))
        self.ended(attempt, self.stream.complete, attempt)

    @precondition(lambda self: self.delivered)
    @rule(data=st.data(), draw=DRAWS, final=st.booleans(), at_once=st.booleans())
    def fail(self, data: st.DataObject, draw: float, final: bool, at_once: bool) -> None:
        """The plugin fails, or another node finds the attempt without its node."""
        attempt = data.draw(st.sampled_from(self.delivered))
        failure = Failure(FailureReason.PLUGIN_FAILED, "why", 1.0, final=final, at_once=at_once)
        decision = self.stream.pipeline.fail_step(attempt, failure, draw, METADATA)
        self.ended(attempt, self.stream.take, decision)

    @precondition(lambda self: self.stream.queued)
    @rule(data=st.data(), draw=DRAWS)
    def can_not_begin(self, data: st.DataObject, draw: float) -> None:
        """A node finds that an attempt can't even begin."""
        index = data.draw(st.integers(0, len(self.stream.queued) - 1))
        attempt = self.stream.queued.pop(index).attempt
        self.delivered.append(attempt)
        failure = Failure(FailureReason.REFUSED, "no such plugin", final=True)
        self.stream.take(self.stream.pipeline.fail_step(attempt, failure, draw, METADATA))

    @rule()
    def cancel(self) -> None:
        try:
            self.stream.take(self.stream.pipeline.cancel("why", METADATA))
        except Conflict:
            assert not self.running

    @precondition(lambda self: self.delivered)
    @rule()
    def two_nodes_decide_at_once(self) -> None:
        """Of decisions made from one state only one can be recorded: the others' versions are then taken."""
        pipeline = self.stream.pipeline
        decisions = [pipeline.complete_step(attempt, 1.0, METADATA) for attempt in self.delivered]
        first, *others = [decision for decision in decisions if decision.events] or [Decision()]
        self.stream.take(first)
        assert all(decision.events[0].expected_version != len(self.stream.events) for decision in others)

    def ended(self, attempt: Attempt, act: Any, *arguments: Any) -> None:
        """Whatever ends an attempt does so only while the attempt runs."""
        begun = self.stream.pipeline.delivery(attempt) is Delivery.BEGUN
        assert bool(act(*arguments)) == begun

    @property
    def running(self) -> bool:
        run = self.stream.pipeline.run
        return run is not None and not run.ended

    @property
    def current(self) -> str:
        run = self.stream.pipeline.run
        return "" if run is None else run.execution_id

    @invariant()
    def the_stream_keeps_the_promises(self) -> None:
        ends: Counter[str] = Counter()
        attempts: Counter[tuple[str, str, int]] = Counter()
        done: defaultdict[str, set[str]] = defaultdict(set)
        begun: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        for event in self.stream.events:
            data = event.data
            run = data.get("execution_id", "")
            assert not ends[run], "something happened after the end of the run"
            if event.type in ENDS:
                ends[run] += 1
                continue
            step_id = data.get("step_id")
            if step_id is None:
                continue
            if event.type == "PipelineStepStarted":
                assert done[run] >= set(self.steps[step_id].depends_on), "a step ran before what it depends on"
                assert (step_id, data["attempt"]) not in begun[run], "an attempt began twice"
                begun[run].add((step_id, data["attempt"]))
            else:
                attempts[run, step_id, data["attempt"]] += 1
                assert data["attempt"] <= self.steps[step_id].retry.max_attempts
                completed = event.type == "PipelineStepCompleted"
                for_good = completed or data["retry_in_ms"] is None
                if completed or (for_good and self.steps[step_id].on_failure is OnFailure.CONTINUE):
                    done[run].add(step_id)
        assert all(count == 1 for count in attempts.values()), "an attempt ended twice"
        assert all(count == 1 for count in ends.values())

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """While a run goes on, each of its steps that is queued has its job, and some step can move."""
        pipeline = self.stream.pipeline
        run = pipeline.run
        if run is None or run.ended:
            return
        waiting = Counter(queued.attempt for queued in self.stream.queued)
        open_steps = 0
        for step_id, state in run.steps.items():
            if state.status.value == "queued":
                assert waiting[Attempt(run.execution_id, step_id, state.attempt)] == 1
            open_steps += state.status.value in ("queued", "running")
        assert open_steps, "the run goes on, but nothing in it does"

    @invariant()
    def reading_on_is_reading_anew(self) -> None:
        self.incremental.take(self.stream.events)
        assert self.incremental == self.stream.pipeline


TestPipelineMachine = PipelineMachine.TestCase
TestPipelineMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
