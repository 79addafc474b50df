{{/* What follows for the objects of the chart from the settings of the operator. Their defaults are those of the program. */}}

{{/* "true" or "". */}}
{{- define "glance-operator.leaderElect" -}}
{{- if dig "leaderElect" true .Values.settings -}}true{{- end -}}
{{- end -}}

{{/* "true" or "". */}}
{{- define "glance-operator.watchSecrets" -}}
{{- if dig "watchSecrets" true .Values.settings -}}true{{- end -}}
{{- end -}}

{{/* Installations that share the work by selectors are told apart by their full names, and so are their Leases. */}}
{{- define "glance-operator.leaseName" -}}
{{- .Values.settings.leaseName | default (include "glance-operator.fullname" .) -}}
{{- end -}}

{{/* The program adds a hash of the selector to the name. */}}
{{- define "glance-operator.heldLeaseName" -}}
{{- include "glance-operator.leaseName" . -}}
{{- with .Values.settings.selector }}-{{ sha256sum . | trunc 8 }}{{ end -}}
{{- end -}}

{{- define "glance-operator.leaseNamespace" -}}
{{- .Values.settings.leaseNamespace | default (include "glance-operator.namespace" .) -}}
{{- end -}}

{{/* The arguments of the container, in a list. Numbers are formatted as such, because Helm writes large ones as 1e+06. */}}
{{- define "glance-operator.args" -}}
- run
- {{ printf "--health-address=:%d" (int .Values.healthPort) }}
{{- if include "glance-operator.leaderElect" . }}
- {{ printf "--lease-name=%s" (include "glance-operator.leaseName" .) }}
{{- end }}
{{- with .Values.watchNamespaces }}
- {{ printf "--namespaces=%s" (join "," .) }}
{{- end }}
{{- if .Values.transferLimits }}
- --transfer-limits=/etc/glance-operator/transfer-limits.yaml
{{- end }}
{{- range $name, $value := omit .Values.settings "leaseName" }}
{{- if kindIs "slice" $value }}
{{- $value = join "," $value }}
{{- else if kindIs "float64" $value }}
{{- $value = int64 $value }}
{{- end }}
- {{ printf "--%s=%v" (kebabcase $name) $value | quote }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}
