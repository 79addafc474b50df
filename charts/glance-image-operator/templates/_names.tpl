{{/* All names have at most 63 characters, even where Kubernetes allows more, because some become labels and host names. */}}

{{- define "glance-image-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "glance-image-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- $full | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of a part: (list "metrics" $). A full name that is too long is cut and gets a hash, so that two long releases stay apart. */}}
{{- define "glance-image-operator.partname" -}}
{{- $part := index . 0 -}}
{{- $full := include "glance-image-operator.fullname" (index . 1) -}}
{{- $room := int (sub 62 (len $part)) -}}
{{- if gt (len $full) $room -}}
{{- $full = printf "%s-%s" ($full | trunc (int (sub $room 9)) | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- end -}}
{{- printf "%s-%s" $full $part -}}
{{- end -}}

{{- define "glance-image-operator.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "glance-image-operator.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "glance-image-operator.fullname" .) -}}
{{- end -}}

{{/* What a Deployment can never change. */}}
{{- define "glance-image-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "glance-image-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* Ours win over common ones: the selector relies on them. */}}
{{- define "glance-image-operator.labels" -}}
{{- $version := printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- $own := dict "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/part-of" "glance-image-operator" "app.kubernetes.io/managed-by" .Release.Service "helm.sh/chart" $version -}}
{{- merge (include "glance-image-operator.selectorLabels" . | fromYaml) $own .Values.commonLabels | toYaml -}}
{{- end -}}

{{/* With the labels of one object: (list $ .Values.metrics.service.labels). */}}
{{- define "glance-image-operator.labelsWith" -}}
{{- merge (include "glance-image-operator.labels" (index . 0) | fromYaml) (index . 1) | toYaml -}}
{{- end -}}

{{- define "glance-image-operator.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- $repository := list $registry .Values.image.repository | compact | join "/" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
