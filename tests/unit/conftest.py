from hypothesis import HealthCheck, settings

from tests.repetition import repetitions

# A busy machine is not a failure.
UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("usual", max_examples=repetitions(100, exhaustive=2000), **UNHURRIED)
settings.load_profile("usual")
