"""What has been executed on this host before, in SQLite: programs, findings, acceptances, learning."""
