"""Programs executed on this host before, in SQLite, with findings, acceptances and learning."""
