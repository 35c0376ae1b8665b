"""Decides whether an executed file is new on this host, from its introduction to a finding."""
