"""From C and the kernel's BTF to BPF instructions and struct layouts. The only room that imports BCC."""
