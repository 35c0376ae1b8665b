"""The kernel's BPF interface: system calls, maps, ring buffer, perf events, bpffs. Nothing about executions."""
