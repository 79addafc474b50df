{{/*
Parts of the ValidatingAdmissionPolicies. Values become literals of CEL as JSON, which CEL reads the same way.

Invariant: a policy looks only at resources whose declaration is new or changed, so it never rejects a status, a finalizer or a deletion.
*/}}

{{/* Namespaces in which a rule does not hold, as a condition of CEL: (list …). */}}
{{- define "glance-image-operator.inNamespaces" -}}
request.namespace in {{ toJson . }}
{{- end -}}

{{/* A policy and its binding: (dict "root" $ "name" "hosts" "variables" (list …) "validations" (list …)). */}}
{{- define "glance-image-operator.policy" -}}
{{- $policies := .root.Values.policies -}}
{{- $name := include "glance-image-operator.partname" (list (printf "policy-%s" .name) .root) -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
{{ include "glance-image-operator.metadata" (list .root (dict "name" $name)) }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [glance-image-operator.dev]
        apiVersions: ["*"]
        operations: [CREATE, UPDATE]
        resources: [glanceimages]
  matchConditions:
    - name: declaration-changed
      expression: >-
        oldObject == null ||
        ['image', 'content', 'import', 'cloud'].exists(field, object.spec[?field] != oldObject.spec[?field]) ||
        object.spec.?revisions.?pin != oldObject.spec.?revisions.?pin
  variables:
    {{- append .variables (dict "name" "contact" "expression" (toJson $policies.contact)) | toYaml | nindent 4 }}
  validations:
    {{- range .validations }}
    - expression: {{ .expression | quote }}
      messageExpression: {{ printf "%s + variables.contact" .message | quote }}
      reason: Forbidden
    {{- end }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
{{ include "glance-image-operator.metadata" (list .root (dict "name" $name)) }}
spec:
  policyName: {{ $name | quote }}
  validationActions:
    {{- toYaml $policies.actions | nindent 4 }}
  {{- $watched := .root.Values.watchNamespaces }}
  {{- if or $watched $policies.exemptNamespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        {{- with $watched }}
        - key: kubernetes.io/metadata.name
          operator: In
          values:
            {{- toYaml . | nindent 12 }}
        {{- end }}
        {{- with $policies.exemptNamespaces }}
        - key: kubernetes.io/metadata.name
          operator: NotIn
          values:
            {{- toYaml . | nindent 12 }}
        {{- end }}
  {{- end }}
{{- end -}}

{{/*
The validation of a field that not everyone may set: (dict "root" $ "rule" .Values.policies.owner "sets" CEL "what" "image.owner" "verb" "set-owner").
*/}}
{{- define "glance-image-operator.permitted" -}}
{{- $admitted := list (printf "!(%s)" .sets) -}}
{{- $ways := list -}}
{{- with .rule.namespaces -}}
{{- $admitted = append $admitted (include "glance-image-operator.inNamespaces" .) -}}
{{- $ways = append $ways (printf "is admitted in the namespaces %s" (join ", " .)) -}}
{{- end -}}
{{- if .root.Values.policies.byPermission -}}
{{- $check := printf "authorizer.group('glance-image-operator.dev').resource('glanceimages').namespace(request.namespace).name(object.metadata.?name.orValue('')).check('%s').allowed()" .verb -}}
{{- $admitted = append $admitted $check -}}
{{- $ways = append $ways (printf "needs the verb %s on glanceimages in namespace ' + request.namespace + ', which the user ' + request.userInfo.username + ' does not have" .verb) -}}
{{- end -}}
expression: {{ join " || " $admitted | quote }}
message: {{ printf "'%s %s: leave it out, or ask '" .what (join ", or " $ways | default "is admitted in no namespace") | quote }}
{{- end -}}

{{/* Entries of a list of hosts that fit the URL `link`, as a condition of CEL. */}}
{{- define "glance-image-operator.hostFits" -}}
host == '*' || host == url(link).getHostname().lowerAscii() || (host.startsWith('*.') && url(link).getHostname().lowerAscii().endsWith(host.substring(1)))
{{- end -}}
