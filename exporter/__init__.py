"""exec_exporter: a Prometheus exporter for program executions."""

__version__ = "0.1.0"
