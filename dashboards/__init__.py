"""Grafana dashboards as code; see README.md."""
