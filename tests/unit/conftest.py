from hypothesis import HealthCheck, settings

from tests.repetition import repetitions

# A machine that is busy with something else is no finding.
UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("usual", max_examples=repetitions(100, exhaustive=2000), **UNHURRIED)
settings.load_profile("usual")
