/** A kubeconfig as kubectl reads it, for one user of one server. */
import { stringify } from 'yaml';

export interface KubeconfigOptions {
  server: string;
  /** PEM of the certificate authority; none for plain http. */
  ca?: string;
  token: string;
  namespace?: string;
}

export function kubeconfig({ server, ca, token, namespace = 'default' }: KubeconfigOptions): string {
  const trust = ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') };
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, ...trust } }],
    users: [{ name: 'user', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'user', namespace } }],
    'current-context': 'test',
  });
}
