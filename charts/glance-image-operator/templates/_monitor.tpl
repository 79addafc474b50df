{{/* How Prometheus scrapes one port: (dict "port" "metrics" "monitor" .Values.metrics.serviceMonitor "secure" .Values.metrics.secure). */}}
{{- define "glance-image-operator.endpoint" -}}
- port: {{ .port }}
  path: /metrics
  interval: {{ .monitor.interval }}
  {{- with .secure }}
  {{- if .enabled }}
  scheme: https
  {{- with .tlsConfig }}
  tlsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .authorization }}
  authorization:
    {{- toYaml .authorization | nindent 4 }}
  {{- else }}
  bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
  {{- end }}
  {{- end }}
  {{- end }}
  {{- with .monitor.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with .monitor.relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .monitor.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* The label `job` that the chart's monitor gives to the metrics of this release; empty without a monitor. */}}
{{- define "glance-image-operator.job" -}}
{{- if .Values.metrics.serviceMonitor.enabled -}}
{{- include "glance-image-operator.partname" (list "metrics" .) -}}
{{- else if .Values.metrics.podMonitor.enabled -}}
{{- printf "%s/%s" (include "glance-image-operator.namespace" .) (include "glance-image-operator.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/*
The groups of files/alerts.yaml with the changes of metrics.prometheusRule. The name of this release is known here, so that
GlanceImageOperatorDown also fires if the release was never scraped, or has been down for longer than the alert looks back.
*/}}
{{- define "glance-image-operator.alertGroups" -}}
{{- $rule := .Values.metrics.prometheusRule -}}
{{- $job := include "glance-image-operator.job" . -}}
{{- $own := printf "or on (namespace, job) absent(glance_image_operator_build_info{namespace=%q,job=%q})" (include "glance-image-operator.namespace" .) $job -}}
{{- $groups := list -}}
{{- range (.Files.Get "files/alerts.yaml" | fromYaml).groups -}}
{{- $rules := list -}}
{{- range .rules -}}
{{- $change := index $rule.alerts .alert | default dict -}}
{{- if dig "enabled" true $change -}}
{{- $labels := merge (dict) (pick $change "severity") $rule.alertLabels .labels -}}
{{- $alert := merge (dict "labels" $labels) (pick $change "for") . -}}
{{- if $job -}}
{{- $_ := set $alert "expr" ($alert.expr | replace "or on () absent(glance_image_operator_build_info)" $own) -}}
{{- end -}}
{{- if hasKey $change "threshold" -}}
{{- $_ := set $alert "expr" (regexReplaceAll "[0-9.]+\\s*$" $alert.expr (toString $change.threshold)) -}}
{{- end -}}
{{- with $rule.runbookUrl -}}
{{- $_ := set $alert.annotations "runbook_url" (printf "%s/%s" (trimSuffix "/" .) (lower $alert.alert)) -}}
{{- end -}}
{{- $rules = append $rules $alert -}}
{{- end -}}
{{- end -}}
{{- $groups = append $groups (dict "name" .name "rules" $rules) -}}
{{- end -}}
{{- toYaml $groups -}}
{{- end -}}
