"""Where a flag gets its value: command line, environment, YAML file. Knows no flag of its own."""
