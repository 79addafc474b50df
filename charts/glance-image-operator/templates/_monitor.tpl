{{/* How Prometheus scrapes one port: (dict "port" "metrics" "monitor" .Values.metrics.serviceMonitor). */}}
{{- define "glance-image-operator.endpoint" -}}
- port: {{ .port }}
  path: /metrics
  interval: {{ .monitor.interval }}
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
