"""Decodes the probe's keys and records into labels, traits and JSON."""
