{{/* Rules that values.schema.json cannot express. Each message says what to do. */}}
{{- define "glance-image-operator.validate" -}}
{{- $elects := include "glance-image-operator.leaderElect" . -}}
{{- $shutdownSeconds := int (include "glance-image-operator.shutdownSeconds" .) -}}
{{- if and .Values.watchNamespaces (not .Values.settings.clusterName) -}}
{{- fail "\n\nwatchNamespaces requires settings.clusterName: without cluster-wide permissions the operator cannot read the uid of the namespace kube-system, which identifies the images of this cluster. Set settings.clusterName to a name that no other cluster uses in the same clouds, and never change it." -}}
{{- end -}}
{{- if and (gt (int .Values.replicaCount) 1) (not $elects) -}}
{{- fail "\n\nreplicaCount is greater than 1 and settings.leaderElect is false: all Pods would work at once. Enable leader election, or set replicaCount to 1." -}}
{{- end -}}
{{- if and (not $elects) .Values.strategy (ne (toString .Values.strategy.type) "Recreate") -}}
{{- fail "\n\nsettings.leaderElect is false, so strategy.type must be Recreate: otherwise two Pods would work at once during an update." -}}
{{- end -}}
{{- with .Values.terminationGracePeriodSeconds -}}
{{- if lt (int .) $shutdownSeconds -}}
{{- fail (printf "\n\nterminationGracePeriodSeconds is %d, but the operator may need %d seconds to end: settings.drainSeconds plus 10. Increase it, or reduce settings.drainSeconds." (int .) $shutdownSeconds) -}}
{{- end -}}
{{- end -}}
{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) -}}
{{- fail "\n\nserviceAccount.create is false and serviceAccount.name is empty: set the name of an existing ServiceAccount." -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) -}}
{{- fail "\n\nmetrics.serviceMonitor requires metrics.service.enabled. Without a Service, use metrics.podMonitor." -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "\n\nmetrics.serviceMonitor and metrics.podMonitor are both enabled, so every sample would be counted twice. Enable one of them." -}}
{{- end -}}
{{- with .Values.metrics }}
{{- if and .secure.enabled .podMonitor.enabled (not .secure.authorization) -}}
{{- fail "\n\nmetrics.secure with metrics.podMonitor requires metrics.secure.authorization: a PodMonitor cannot send the token of Prometheus. Name a Secret with a token there, or use metrics.serviceMonitor." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.secure.enabled (eq (int .Values.metrics.secure.port) (int .Values.healthPort)) -}}
{{- fail (printf "\n\nmetrics.secure.port and healthPort are both %d. Choose different ports." (int .Values.healthPort)) -}}
{{- end -}}
{{- range $name := list "dns" "apiServer" }}
{{- if and $.Values.networkPolicy.enabled (not (get (get $.Values.networkPolicy $name) "ports")) -}}
{{- fail (printf "\n\nnetworkPolicy.%s.ports is empty, and a rule without ports opens every port of its peers: list the ports, or set networkPolicy.enabled to false." $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.apiServer.to) -}}
{{- fail (printf "\n\nnetworkPolicy.enabled requires networkPolicy.apiServer.to: the rules of a NetworkPolicy add up, so a rule without peers would open the ports %s of every address, whatever networkPolicy.egress says. Set it to the addresses of the API server: kubectl get endpointslices --namespace default --selector kubernetes.io/service-name=kubernetes" (join ", " .Values.networkPolicy.apiServer.ports)) -}}
{{- end -}}
{{- range $kind := list "sources" "clouds" -}}
{{- $proxy := index $.Values.proxy $kind -}}
{{- if contains "@" $proxy.url -}}
{{- fail (printf "\n\nproxy.%s.url contains a user or password, which everyone could read in the Deployment. Put USER:PASSWORD into a Secret, and name it in proxy.%s.credentialsSecret.name." $kind $kind) -}}
{{- end -}}
{{- if and $proxy.credentialsSecret.name (not $proxy.url) -}}
{{- fail (printf "\n\nproxy.%s.credentialsSecret.name is set, and proxy.%s.url is empty: set the URL of the proxy." $kind $kind) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraArgs -}}
{{- if regexMatch "^--(namespaces|selector|cluster-name|watch-secrets|transfers|transfers-per-namespace|transfers-per-cloud|transfers-per-host|transfer-limits|transfer-job-above|transfer-job-template|ca-bundle|leader-elect|lease-name|lease-namespace|health-address|metrics-address|metrics-certificate|drain-seconds)(=|$)" . -}}
{{- fail (printf "\n\nextraArgs contains %s, on which other objects of the chart depend. Set it with settings, watchNamespaces, transferLimits, transferJobs, caBundle, metrics.secure or healthPort." .) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasPrefix "GLANCE_IMAGE_OPERATOR_" (default "" .name) -}}
{{- fail (printf "\n\nextraEnv contains %s. Set variables GLANCE_IMAGE_OPERATOR_… with settings, watchNamespaces, transferLimits or healthPort." .name) -}}
{{- end -}}
{{- if regexMatch "(?i)^((https?|no|all)_proxy|node_use_env_proxy)$" (default "" .name) -}}
{{- fail (printf "\n\nextraEnv contains %s, which the operator ignores. Set proxy.sources.url and proxy.clouds.url instead, with noProxy and credentialsSecret next to them." .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
