from hypothesis import HealthCheck, settings

# A machine that is busy with something else is no finding.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
