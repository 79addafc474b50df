{{/* What values.schema.json cannot say. Each sentence says what to do. */}}
{{- define "glance-image-operator.validate" -}}
{{- $clusterName := .Values.settings.clusterName -}}
{{- if and .Values.watchNamespaces (not $clusterName) -}}
{{- fail "\n\nwatchNamespaces needs settings.clusterName: with rights in some namespaces only, the operator cannot read the uid of the namespace kube-system, by which it tells the images of this cluster from those of others. Set it to a name that no other cluster has in the same clouds, and never change it." -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not (include "glance-image-operator.leaderElect" .)) -}}
{{- fail "\n\nreplicas is greater than 1 and settings.leaderElect is false: they would all work at once. Let them elect a leader, or run one." -}}
{{- end -}}
{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) -}}
{{- fail "\n\nserviceAccount.create is false and serviceAccount.name is empty: name the ServiceAccount that the operator is to use." -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) -}}
{{- fail "\n\nmetrics.serviceMonitor needs metrics.service.enabled: without a Service use metrics.podMonitor." -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "\n\nmetrics.serviceMonitor and metrics.podMonitor are both enabled: every sample would be counted twice. Choose one." -}}
{{- end -}}
{{- range .Values.extraArgs -}}
{{- if regexMatch "^--(namespaces|selector|cluster-name|watch-secrets|transfer-limits|leader-elect|lease-name|lease-namespace|health-address|drain-seconds)(=|$)" . -}}
{{- fail (printf "\n\nextraArgs holds %s, on which other objects of the chart depend: set it by settings, watchNamespaces, transferLimits or healthPort." .) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasPrefix "GLANCE_IMAGE_OPERATOR_" (default "" .name) -}}
{{- fail (printf "\n\nextraEnv holds %s: what the operator reads from GLANCE_IMAGE_OPERATOR_… is set by settings, watchNamespaces, transferLimits or healthPort." .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
