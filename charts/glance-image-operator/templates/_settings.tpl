{{/* Values that the chart derives from the settings of the operator. Defaults are those of the program. */}}

{{/* "true" or "". */}}
{{- define "glance-image-operator.leaderElect" -}}
{{- if dig "leaderElect" true .Values.settings -}}true{{- end -}}
{{- end -}}

{{/* "true" or "". */}}
{{- define "glance-image-operator.watchSecrets" -}}
{{- if dig "watchSecrets" false .Values.settings -}}true{{- end -}}
{{- end -}}

{{/* How long the operator may take to end: it drains, and then releases its Lease. */}}
{{- define "glance-image-operator.shutdownSeconds" -}}
{{- add (dig "drainSeconds" 20 .Values.settings) 10 -}}
{{- end -}}

{{/* Installations that shard resources by selectors have different full names, and therefore different Leases. */}}
{{- define "glance-image-operator.leaseName" -}}
{{- .Values.settings.leaseName | default (include "glance-image-operator.fullname" .) -}}
{{- end -}}

{{/* The program appends a hash of the selector. */}}
{{- define "glance-image-operator.heldLeaseName" -}}
{{- include "glance-image-operator.leaseName" . -}}
{{- with .Values.settings.selector }}-{{ sha256sum . | trunc 8 }}{{ end -}}
{{- end -}}

{{- define "glance-image-operator.leaseNamespace" -}}
{{- .Values.settings.leaseNamespace | default (include "glance-image-operator.namespace" .) -}}
{{- end -}}

{{/* The name of the Secret with the certificate of the metrics, or "". */}}
{{- define "glance-image-operator.metricsCertificate" -}}
{{- with .Values.metrics.secure }}{{ if .enabled }}{{ .certificateSecret.name }}{{ end }}{{ end -}}
{{- end -}}

{{/* The port of the container that serves metrics. */}}
{{- define "glance-image-operator.metricsPort" -}}
{{- .Values.metrics.secure.enabled | ternary "metrics" "health" -}}
{{- end -}}

{{/* The arguments of the container. Numbers become integers first, because Helm prints large ones as 1e+06. */}}
{{- define "glance-image-operator.args" -}}
- run
- {{ printf "--health-address=:%d" (int .Values.healthPort) }}
{{- if .Values.metrics.secure.enabled }}
- {{ printf "--metrics-address=:%d" (int .Values.metrics.secure.port) }}
{{- if include "glance-image-operator.metricsCertificate" . }}
- --metrics-certificate=/etc/glance-image-operator-metrics
{{- end }}
{{- end }}
{{- if or (include "glance-image-operator.leaderElect" .) .Values.transferJobs.above }}
- {{ printf "--lease-name=%s" (include "glance-image-operator.leaseName" .) }}
{{- end }}
{{- with .Values.watchNamespaces }}
- {{ printf "--namespaces=%s" (join "," .) }}
{{- end }}
- --transfer-limits=/etc/glance-image-operator/transfer-limits.yaml
{{- with .Values.transferJobs.above }}
- {{ printf "--transfer-job-above=%s" . | quote }}
- --transfer-job-template=/etc/glance-image-operator-jobs/transfer-jobs.yaml
{{- end }}
{{- if .Values.caBundle.configMap }}
- --ca-bundle=/etc/glance-image-operator-ca/ca.crt
{{- end }}
{{- range $kind := list "source" "cloud" }}
{{- $proxy := index $.Values.proxy (printf "%ss" $kind) }}
{{- if $proxy.url }}
- {{ printf "--%s-proxy=%s" $kind $proxy.url | quote }}
{{- with $proxy.noProxy }}
- {{ printf "--%s-no-proxy=%s" $kind (join "," .) | quote }}
{{- end }}
{{- if $proxy.credentialsSecret.name }}
- --{{ $kind }}-proxy-credentials=/etc/glance-image-operator-proxy/{{ $kind }}s/credentials
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $value := omit .Values.settings "leaseName" }}
{{- if kindIs "slice" $value }}
{{- $value = join "," $value }}
{{- else if kindIs "float64" $value }}
{{- $value = int64 $value }}
{{- end }}
- {{ printf "--%s=%v" ($name | replace "GiB" "Gib" | kebabcase) $value | quote }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}
