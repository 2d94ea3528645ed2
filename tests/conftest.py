"""What all tests share: the speed of the machine never decides."""

from hypothesis import HealthCheck, settings

# On a clean clone the first examples take seconds, because tables of characters have to be built for them.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
