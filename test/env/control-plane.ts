/**
 * etcd, kube-apiserver and kube-controller-manager on loopback ports.
 *
 * Invariant: everything that a user of a cluster notices is as in a cluster (RBAC, admission, garbage collection,
 * namespaces, Jobs), except that Pods do not run.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask } from './http.ts';
import { kubeconfig } from './kubeconfig.ts';
import { folders } from './parts.mjs';
import type { Processes } from './processes.ts';

export interface ControlPlane {
  /** The API server's URL. */
  server: string;
  /** PEM of the API server's certificate authority. */
  ca: string;
  /** The token of each user. */
  tokens: Readonly<Record<string, string>>;
  /** The audit log: one JSON object a line. */
  auditLog: string;
}

/** So many users of each kind stand ready; a test claims one for each program whose requests it wants to count. */
const poolSize = 200;

/**
 * `admin` may everything. `operator-N` are in the group `operators`, which is bound to cluster-admin. `tenant-N` may nothing
 * until a test binds a role to them.
 */
function users(): { name: string; groups: string[] }[] {
  const pool = (kind: string, groups: string[]) =>
    Array.from({ length: poolSize }, (_, at) => ({ name: `${kind}-${at}`, groups }));
  return [
    { name: 'admin', groups: ['system:masters'] },
    { name: 'controller-manager', groups: ['system:masters'] },
    ...pool('operator', ['operators']),
    ...pool('tenant', ['tenants']),
  ];
}

const auditPolicy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived', 'ResponseStarted'],
  rules: [
    { level: 'None', users: ['system:apiserver', 'system:anonymous', 'controller-manager'] },
    { level: 'Metadata' },
  ],
};

const operatorsBinding = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: 'operators' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'operators' }],
};

export async function startControlPlane(processes: Processes, ports: readonly [number, number, number]) {
  const [etcdPort, etcdPeerPort, apiPort] = ports;
  const directory = join(processes.directory, 'kubernetes');
  mkdirSync(directory);
  const at = (name: string) => join(directory, name);
  const program = join(folders.controlPlane, 'control-plane');

  const tokens: Record<string, string> = {};
  for (const { name } of users()) tokens[name] = randomBytes(16).toString('hex');
  const rows = users().map(({ name, groups }) => `${tokens[name]},${name},${name},"${groups.join(',')}"`);
  writeFileSync(at('tokens.csv'), `${rows.join('\n')}\n`, { mode: 0o600 });
  const keys = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  writeFileSync(at('sa.key'), keys.privateKey, { mode: 0o600 });
  writeFileSync(at('sa.pub'), keys.publicKey);
  writeFileSync(at('audit-policy.json'), JSON.stringify(auditPolicy));
  writeFileSync(at('audit.log'), '');

  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = `http://127.0.0.1:${etcdPeerPort}`;
  await processes.start({
    name: 'etcd',
    command: program,
    args: [
      'etcd',
      `--data-dir=${at('etcd')}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ],
    ready: async () => (await ask('GET', `${etcdUrl}/health`, { timeoutMs: 2_000 })).status === 200,
  });

  const server = `https://127.0.0.1:${apiPort}`;
  const admin = `Bearer ${tokens['admin']}`;
  await processes.start({
    name: 'kube-apiserver',
    command: program,
    args: [
      'kube-apiserver',
      `--etcd-servers=${etcdUrl}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${apiPort}`,
      `--cert-dir=${at('certs')}`,
      `--service-account-key-file=${at('sa.pub')}`,
      `--service-account-signing-key-file=${at('sa.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      '--service-cluster-ip-range=10.0.0.0/24',
      `--token-auth-file=${at('tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--allow-privileged=true',
      // It would keep Pods waiting for tokens that nothing mounts.
      '--disable-admission-plugins=ServiceAccount',
      '--endpoint-reconciler-type=none',
      `--audit-policy-file=${at('audit-policy.json')}`,
      `--audit-log-path=${at('audit.log')}`,
      // Never rotated: the readers remember byte offsets.
      '--audit-log-maxsize=1000000',
    ],
    async ready() {
      const ca = readFileSync(at('certs/apiserver.crt'), 'utf8');
      const answer = await ask('GET', `${server}/readyz`, { ca, headers: { authorization: admin }, timeoutMs: 5_000 });
      return answer.status === 200;
    },
  });
  const ca = readFileSync(at('certs/apiserver.crt'), 'utf8');

  writeFileSync(at('controller-manager.yaml'), kubeconfig({ server, ca, token: tokens['controller-manager'] ?? '' }), {
    mode: 0o600,
  });
  await processes.start({
    name: 'kube-controller-manager',
    command: program,
    args: [
      'kube-controller-manager',
      `--kubeconfig=${at('controller-manager.yaml')}`,
      `--service-account-private-key-file=${at('sa.key')}`,
      '--leader-elect=false',
      '--secure-port=0',
      `--controllers=${[
        'namespace-controller',
        'garbage-collector-controller',
        'job-controller',
        'serviceaccount-controller',
        'ttl-after-finished-controller',
        'clusterrole-aggregation-controller',
      ].join(',')}`,
    ],
    // It serves nothing; its first sign of life is the service account that it puts into the namespace `default`.
    async ready() {
      const url = `${server}/api/v1/namespaces/default/serviceaccounts/default`;
      return (await ask('GET', url, { ca, headers: { authorization: admin }, timeoutMs: 5_000 })).status === 200;
    },
  });
  const bindings = `${server}/apis/rbac.authorization.k8s.io/v1/clusterrolebindings`;
  (await ask('POST', bindings, { ca, headers: { authorization: admin }, body: operatorsBinding })).ok();
  return { server, ca, tokens, auditLog: at('audit.log') } satisfies ControlPlane;
}
