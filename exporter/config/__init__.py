"""Values of flags from the command line, the environment and YAML files. Defines no flag."""
