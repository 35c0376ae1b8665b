{{- define "exec-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "exec-exporter.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := printf "%s-%s" .Release.Name $name }}
{{- if or (eq $name .Release.Name) (and .Chart.IsRoot (contains $name .Release.Name)) }}
{{- .Release.Name }}
{{- else if gt (len $full) 63 }}{{/* cut, it may be the name of another alias in this release */}}
{{- printf "%s-%s" (trunc 54 $full | trimSuffix "-") (sha256sum $full | trunc 8) }}
{{- else }}
{{- $full }}
{{- end }}
{{- end }}
{{- end }}

{{- define "exec-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "exec-exporter.serviceAccountName" -}}
{{- default (ternary (include "exec-exporter.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "exec-exporter.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag }}
{{- .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ $tag }}{{ end }}
{{- end }}

{{- define "exec-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "exec-exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "exec-exporter.labels" -}}
{{- $own := include "exec-exporter.selectorLabels" . | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/component" "exporter" }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name (replace "+" "_" .Chart.Version)) }}
{{- mergeOverwrite (dict) (default (dict) .Values.commonLabels) $own | toYaml }}
{{- end }}

{{/* name, namespace and labels of an object; takes a list: root context, additional labels, namespace or "" */}}
{{- define "exec-exporter.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "exec-exporter.fullname" $root | quote }}
namespace: {{ default (include "exec-exporter.namespace" $root) (index . 2) | quote }}
labels:
  {{- mergeOverwrite (include "exec-exporter.labels" $root | fromYaml) (index . 1) | toYaml | nindent 2 }}
{{- end }}

{{/* capabilities of the container */}}
{{- define "exec-exporter.capabilities" -}}
- BPF      # load programs and create maps
- PERFMON  # read kernel memory in programs
{{- if .Values.contentHashes.enabled }}
- SYS_PTRACE       # open /proc/<pid>/exe of other users
- DAC_READ_SEARCH  # read programs that only their owner may read
{{- end }}
{{- end }}

{{/* directories on the node that the container writes to: volume name, path on the node, mount path */}}
{{- define "exec-exporter.hostDirectories" -}}
{{- with .Values.catalogue.hostPath }}
- {name: catalogue, path: {{ . | quote }}, mountPath: /var/lib/exec_exporter}
{{- end }}
{{- if .Values.pins.enabled }}{{/* not below /sys/fs, where AppArmor's default profile for containers denies writes */}}
- {name: pins, path: {{ .Values.pins.hostPath | quote }}, mountPath: /run/bpf}
{{- end }}
{{- end }}

{{/* user or group id of the container; takes a list: root context, "runAsUser" or "runAsGroup" */}}
{{- define "exec-exporter.id" -}}
{{- $values := (index . 0).Values -}}
{{- dig (index . 1) (dig (index . 1) 65534 (default (dict) $values.podSecurityContext)) (default (dict) $values.securityContext) | int -}}
{{- end }}

{{- define "exec-exporter.hasWebConfig" -}}
{{- if or .Values.web.config .Values.web.existingSecret }}true{{ end }}
{{- end }}

{{- define "exec-exporter.webSecret" -}}
{{- default (printf "%s-web" (include "exec-exporter.fullname" .)) .Values.web.existingSecret }}
{{- end }}

{{- define "exec-exporter.scheme" -}}
{{- default (hasKey (default (dict) .Values.web.config) "tls_server_config" | ternary "https" "http") .Values.web.scheme }}
{{- end }}

{{/* true if clients need a password or a certificate */}}
{{- define "exec-exporter.authentication" -}}
{{- $config := default (dict) .Values.web.config }}
{{- $tls := default (dict) $config.tls_server_config }}
{{- $certificate := or (hasPrefix "Require" (default "" $tls.client_auth_type)) $tls.client_allowed_sans }}
{{- if kindIs "bool" .Values.web.authentication | ternary .Values.web.authentication (or $config.basic_auth_users $certificate) }}true{{ end }}
{{- end }}

{{/* a probe of the kubelet; takes a list: root context, values of the probe, path */}}
{{- define "exec-exporter.probe" -}}
{{- $root := index . 0 -}}
{{- if include "exec-exporter.authentication" $root -}}
tcpSocket:
  port: metrics
{{- else -}}
httpGet:
  path: {{ index . 2 }}
  port: metrics
  scheme: {{ include "exec-exporter.scheme" $root | upper }}
{{- end }}
{{- with index . 1 }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* endpoint of a ServiceMonitor or PodMonitor; takes a list: root context, values of the monitor */}}
{{- define "exec-exporter.endpoint" -}}
{{- $root := index . 0 }}
{{- $monitor := index . 1 }}
{{- $scheme := include "exec-exporter.scheme" $root -}}
port: metrics
scheme: {{ $scheme }}
{{- with $monitor.interval }}
interval: {{ . }}
{{- end }}
{{- with $monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with $monitor.params }}
params:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $monitor.honorLabels }}
honorLabels: true
{{- end }}
{{- if or $monitor.tlsConfig (eq $scheme "https") }}
tlsConfig:
  {{- default (dict "insecureSkipVerify" true) $monitor.tlsConfig | toYaml | nindent 2 }}
{{- end }}
{{- with $monitor.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
relabelings:
  - targetLabel: job
    replacement: {{ $root.Values.job | quote }}
  - targetLabel: instance  # a pod's address changes with every update
    sourceLabels: [__meta_kubernetes_pod_node_name]
  {{- with $monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* a file of dashboards/ with the job and the runbooks' URL set; takes a list: root context, path */}}
{{- define "exec-exporter.file" -}}
{{- $root := index . 0 -}}
{{- $root.Files.Get (index . 1)
  | replace "job=\"exec\"" (printf "job=%q" $root.Values.job)
  | replace "https://runbooks.example/exec_exporter" (trimSuffix "/" $root.Values.runbooks) }}
{{- end }}
