"""Which plugins have to be there for another one, and which versions of them fit together."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from packaging.specifiers import SpecifierSet
from packaging.version import Version
from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep, Resolver

from flexcore.domain.errors import NotInstallable
from flexcore.domain.plugin import Plugin

_MOST_ROUNDS: Final = 2000


@dataclass(frozen=True, slots=True)
class Offer:
    """One version of a plugin that there is, with the ranges of those it depends on."""

    id: str
    version: str
    requires: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.id} {self.version}"


@dataclass(frozen=True, slots=True)
class _Requirement:
    id: str
    range: str
    wanted_by: tuple[str, ...]

    def fits(self, version: str) -> bool:
        return SpecifierSet(self.range).contains(version, prereleases=True)

    def __str__(self) -> str:
        return f"{self.id} {self.range}".strip()

    @property
    def chain(self) -> str:
        return " → ".join((*self.wanted_by, str(self)))


@dataclass(frozen=True, slots=True)
class _Candidate:
    offer: Offer
    wanted_by: tuple[str, ...] = field(default=(), compare=False)


def plan(
    wanted: Offer, installed: Iterable[Plugin], offers: Callable[[str], Sequence[Offer]] = lambda plugin_id: ()
) -> list[Offer]:
    """Say what has to be installed for `wanted`, dependencies first and itself last.

    What is installed stays as it is; what lacks is taken from `offers`, the newest version that fits. Raises
    NotInstallable with the chain of plugins that leads to what is missing, does not fit or goes round in a circle.
    """
    present = {plugin.id: Offer(plugin.id, plugin.version, plugin.requires) for plugin in installed}
    present.pop(wanted.id, None)
    for other in present.values():
        needed = _Requirement(wanted.id, other.requires.get(wanted.id, ""), (str(other),))
        if wanted.id in other.requires and not needed.fits(wanted.version):
            raise NotInstallable(f"{wanted} does not fit those that depend on it: {needed.chain}")
    provider = _Provider(wanted, present, offers)
    first = _Requirement(wanted.id, "", ())
    try:
        result = Resolver(provider, BaseReporter()).resolve([first], max_rounds=_MOST_ROUNDS)
    except ResolutionImpossible as error:
        causes = [cause.requirement for cause in error.causes]
        raise NotInstallable(f"{wanted} can't be installed: {_reason(causes, provider)}") from error
    except ResolutionTooDeep as error:
        raise NotInstallable(f"{wanted} can't be installed: its dependencies do not come to an end") from error
    chosen = {plugin_id: candidate.offer for plugin_id, candidate in result.mapping.items()}
    everything = {**present, **chosen}
    try:
        order = list(TopologicalSorter({each.id: each.requires.keys() for each in everything.values()}).static_order())
    except CycleError as error:
        # It lists each plugin before the one that depends on it.
        circle = " → ".join(reversed(error.args[1]))
        raise NotInstallable(f"{wanted} can't be installed: plugins would depend on each other, {circle}") from error
    return [chosen[plugin_id] for plugin_id in order if plugin_id in chosen and plugin_id not in present]


def dependents(plugin_id: str, installed: Iterable[Plugin]) -> list[Plugin]:
    """List the plugins that need this one, directly or not, those that nobody else needs first."""
    plugins = {plugin.id: plugin for plugin in installed}
    found: set[str] = set()
    reached = [plugin_id]
    while reached:
        wanted = reached.pop()
        for plugin in plugins.values():
            if wanted in plugin.requires and plugin.id not in found and plugin.id != plugin_id:
                found.add(plugin.id)
                reached.append(plugin.id)
    order = TopologicalSorter({name: found & plugins[name].requires.keys() for name in found}).static_order()
    return [plugins[name] for name in reversed(list(order))]


class _Provider(AbstractProvider):  # type: ignore[type-arg]
    """Tells the resolver what there is."""

    def __init__(self, wanted: Offer, present: Mapping[str, Offer], offers: Callable[[str], Sequence[Offer]]) -> None:
        self._wanted = wanted
        self.present = present
        self.offers = offers

    def identify(self, requirement_or_candidate: Any) -> str:
        of = requirement_or_candidate
        return str(of.offer.id if isinstance(of, _Candidate) else of.id)

    def get_preference(self, identifier: str, *others: Any, **more: Any) -> str:
        return identifier

    def find_matches(self, identifier: str, requirements: Any, incompatibilities: Any) -> list[_Candidate]:
        needed: list[_Requirement] = list(requirements[identifier])
        refused = {candidate.offer for candidate in incompatibilities[identifier]}
        fitting = [
            offer
            for offer in self._choice(identifier, needed)
            if offer not in refused and all(requirement.fits(offer.version) for requirement in needed)
        ]
        return [_Candidate(offer, (*needed[0].wanted_by, str(offer))) for offer in fitting]

    def is_satisfied_by(self, requirement: _Requirement, candidate: _Candidate) -> bool:
        return requirement.fits(candidate.offer.version)

    def get_dependencies(self, candidate: _Candidate) -> list[_Requirement]:
        return [_Requirement(name, text, candidate.wanted_by) for name, text in candidate.offer.requires.items()]

    def _choice(self, plugin_id: str, needed: Sequence[_Requirement]) -> Iterator[Offer]:
        if plugin_id == self._wanted.id:
            yield self._wanted
        elif plugin_id in self.present:
            yield self.present[plugin_id]
        else:
            offers = sorted(self.offers(plugin_id), key=lambda offer: Version(offer.version), reverse=True)
            together = SpecifierSet(",".join(each.range for each in needed if each.range))
            # Versions before a release only where a range asks for them, or there is nothing else.
            proper = list(together.filter(offer.version for offer in offers))
            yield from (offer for offer in offers if offer.version in proper)


def _reason(causes: Sequence[_Requirement], provider: _Provider) -> str:
    if len({cause.id for cause in causes}) == 1 and len(causes) > 1:
        return "its dependencies contradict each other: " + " and ".join(cause.chain for cause in causes)
    return "; ".join(f"{cause.chain} ({_lack(cause, provider)})" for cause in causes)


def _lack(cause: _Requirement, provider: _Provider) -> str:
    if cause.id in provider.present:
        return f"installed is version {provider.present[cause.id].version}"
    versions = ", ".join(offer.version for offer in provider.offers(cause.id)[:10])
    return f"there are only versions {versions}" if versions else f"'{cause.id}' is not installed"
