"""What this machine shows outside of BPF: /proc, packages, capabilities, files below another root."""
