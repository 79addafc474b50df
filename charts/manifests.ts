/**
 * Writes dist/install.yaml, to install without Helm: `npm run manifests [FILE]`. Invariant: it holds the objects of the chart with
 * default values, one per document, without the labels and annotations that only Helm reads, and a namespace that enforces the Pod
 * Security Standard `restricted`.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Document, isScalar, parseAllDocuments, visit } from 'yaml';
import { render } from './helm.ts';

const name = 'glance-image-operator';
const namespaceName = 'glance-image-operator-system';

const namespace = `apiVersion: v1
kind: Namespace
metadata:
  name: ${namespaceName}
  labels:
    app.kubernetes.io/part-of: ${name}
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
`;

/** Labels and annotations that would claim that Helm manages an object. */
const ofHelm: readonly unknown[] = ['helm.sh/chart', 'app.kubernetes.io/managed-by', 'helm.sh/resource-policy'];

export async function manifests(): Promise<string> {
  const rendered = await render({ name, namespace: namespaceName });
  const withoutSources = rendered.replaceAll(/^# Source: .*\n/gm, '');
  const objects = [...parseAllDocuments(withoutSources)].filter((document) => document.contents !== null);
  return [namespace, ...objects.map(withoutHelm)].join('---\n');
}

function withoutHelm(document: Document): string {
  visit(document, {
    Pair: (_key, { key }) => (isScalar(key) && ofHelm.includes(key.value) ? visit.REMOVE : undefined),
  });
  return document.toString({ lineWidth: 0, directives: false });
}

if (import.meta.main) {
  const [file = 'dist/install.yaml'] = process.argv.slice(2);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, await manifests());
}
