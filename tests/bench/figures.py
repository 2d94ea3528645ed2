"""The one form in which a benchmark prints a figure."""

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence

RUNS = 5


def alternate(
    ours: Callable[[], float], peer: Callable[[], float], runs: int = RUNS
) -> tuple[list[float], list[float]]:
    """Measure both sides `runs` times in turn, so that a busy minute of the machine hits both."""
    pairs = [(ours(), peer()) for _ in range(runs)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


async def in_turn(sides: Mapping[str, Callable[[], Awaitable[float]]], runs: int = RUNS) -> dict[str, list[float]]:
    """Measure any number of sides `runs` times in turn; gives the figures of each by its name."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, measure in sides.items():
            figures[name].append(await measure())
    return figures


def print_figure(
    name: str, ours: Sequence[float], peer: Sequence[float], *, unit: str, peer_name: str, more_is_better: bool
) -> None:
    """Print the medians and how many times better ours is; below 1 the peer is better."""
    ours_median, peer_median = statistics.median(ours), statistics.median(peer)
    ratio = ours_median / peer_median if more_is_better else peer_median / ours_median
    print(  # noqa: T201 - printing figures is what a benchmark does
        f"BENCH {name} ours={ours_median:.4g} peer={peer_median:.4g} ratio={ratio:.2f} "
        f"unit={unit} peer_name={peer_name} runs={len(ours)}",
        flush=True,
    )
