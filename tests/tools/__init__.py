"""What tests need of a machine: Debian's packages, programs out of such packages, programs compiled here."""
