"""Preparation of a machine for tests: Debian's packages, programs out of such packages, programs compiled here."""
