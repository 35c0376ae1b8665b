"""From C and the kernel's BTF to BPF instructions and struct layouts. No other room imports BCC."""
