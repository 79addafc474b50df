{{/* What follows for the objects of the chart from the settings of the operator. Their defaults are those of the program. */}}

{{/* "true" or "". */}}
{{- define "glance-image-operator.leaderElect" -}}
{{- if dig "leaderElect" true .Values.settings -}}true{{- end -}}
{{- end -}}

{{/* "true" or "". */}}
{{- define "glance-image-operator.watchSecrets" -}}
{{- if dig "watchSecrets" true .Values.settings -}}true{{- end -}}
{{- end -}}

{{/* Installations that share the work by selectors are told apart by their full names, and so are their Leases. */}}
{{- define "glance-image-operator.leaseName" -}}
{{- .Values.settings.leaseName | default (include "glance-image-operator.fullname" .) -}}
{{- end -}}

{{/* The program adds a hash of the selector to the name. */}}
{{- define "glance-image-operator.heldLeaseName" -}}
{{- include "glance-image-operator.leaseName" . -}}
{{- with .Values.settings.selector }}-{{ sha256sum . | trunc 8 }}{{ end -}}
{{- end -}}

{{- define "glance-image-operator.leaseNamespace" -}}
{{- .Values.settings.leaseNamespace | default (include "glance-image-operator.namespace" .) -}}
{{- end -}}

{{/* The arguments of the container, in a list. Numbers are formatted as such, because Helm writes large ones as 1e+06. */}}
{{- define "glance-image-operator.args" -}}
- run
- {{ printf "--health-address=:%d" (int .Values.healthPort) }}
{{- if include "glance-image-operator.leaderElect" . }}
- {{ printf "--lease-name=%s" (include "glance-image-operator.leaseName" .) }}
{{- end }}
{{- with .Values.watchNamespaces }}
- {{ printf "--namespaces=%s" (join "," .) }}
{{- end }}
{{- if .Values.transferLimits }}
- --transfer-limits=/etc/glance-image-operator/transfer-limits.yaml
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
