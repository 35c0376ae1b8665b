"""The kernel's BPF interface: maps, programs, ring buffer, perf events, bpffs. Nothing about executions."""
