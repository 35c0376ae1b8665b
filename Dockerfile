# exec_exporter as an image, for amd64 and arm64:
#   docker build -t exec-exporter . && docker run --pid=host --cap-drop=ALL --cap-add=BPF --cap-add=PERFMON \
#       --read-only --tmpfs=/tmp -p 10042:10042 exec-exporter
# (with --security-opt=no-new-privileges also --user=0: Docker then lets an ordinary user have no capabilities at all)
ARG DEBIAN=trixie

FROM debian:${DEBIAN}-slim AS system
# BCC brings LLVM, the one compiler. Nothing here has to become another user.
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-bpfcc \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/* \
    && find / -xdev -perm /6000 -type f -exec chmod a-s {} +

FROM system AS build
RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin python3-venv
# An interpreter of its own, as its file carries the capabilities, which an ordinary user in a container can have from
# nowhere else. They are permitted and not effective (+p): where the container was not given them it starts all the
# same, and the exporter says what is missing. With +ep the kernel would refuse, and nobody would know what.
RUN python3 -m venv --copies --system-site-packages /opt/exec_exporter \
    && cd /opt/exec_exporter/bin \
    && rm python3* && ln -s python python3 \
    && setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+p python
COPY pyproject.toml README.md /src/
COPY exporter /src/exporter
COPY bpf /src/bpf
RUN /opt/exec_exporter/bin/pip install --no-cache-dir --disable-pip-version-check /src \
    && /opt/exec_exporter/bin/pip uninstall --yes --quiet pip

FROM system
LABEL org.opencontainers.image.title="exec_exporter" \
      org.opencontainers.image.description="Prometheus exporter for program executions, counted in the kernel" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
ENV PATH=/opt/exec_exporter/bin:/usr/bin:/bin
COPY --from=build /opt/exec_exporter /opt/exec_exporter
USER 65534:65534
EXPOSE 10042
# For Docker, and without --web.config.file; Kubernetes asks for itself.
HEALTHCHECK --start-period=60s \
    CMD ["/usr/bin/python3", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:10042/-/healthy', timeout=5)"]
ENTRYPOINT ["/opt/exec_exporter/bin/exec_exporter"]
