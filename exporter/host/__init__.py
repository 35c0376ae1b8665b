"""The machine outside of BPF: /proc, packages, capabilities, files below another root."""
