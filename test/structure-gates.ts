/**
 * The gates of the source: where bytes and secrets come in and go out, as a list of all files that do it. One that is not listed
 * may have gone around the egress policy, the limits of responses, or the permission of a Secret: look at that before you add it.
 */

/** A call of one of these functions, and not its declaration. */
const calls = (...names: string[]) => new RegExp(`(?<![.\\w#]|function )(?:${names.join('|')})\\(`);
const builtin = (...names: string[]) =>
  new RegExp(`(?:^import (?!type\\b)[^;]*|getBuiltinModule\\()'node:(?:${names.join('|')})'`, 'm');

export const gates: Record<string, { sign: RegExp; files: readonly string[] }> = {
  'makes HTTP agents': {
    sign: /\bnew (?:\w*Agent|\w*Pool|Client|\w*Dispatcher|WebSocket|EventSource)\(/,
    files: ['kubernetes/transport.ts', 'openstack/transport.ts', 'source/transport.ts'],
  },
  'sends requests': {
    sign: /(?<![.\w#]|function )fetch\(|import \{[^}]*\b(?:request|stream|pipeline|fetch)\b[^}]*\} from 'undici'|\bagents?\b[^;\n]*\.request\(|\b(?:calls|streams|dispatcher|client)\.(?:request|stream|connect|dispatch)\(/,
    files: ['kubernetes/transport.ts', 'openstack/transport.ts', 'source/transport.ts'],
  },
  'writes requests to sockets': { sign: /HTTP\/1\.1\\r\\n/, files: ['http/tunnel.ts'] },
  'opens sockets or resolves names': {
    sign: builtin('https?', 'http2', 'tls', 'dgram', 'dns', 'dns/promises'),
    files: ['controller/health.ts', 'http/node-http.ts', 'http/resolve-host.ts', 'http/trust.ts'],
  },
  'uses addresses or sockets': {
    sign: builtin('net'),
    files: [
      'commands/egress.ts',
      'glance/ref.ts',
      'http/address-rules.ts',
      'http/egress.ts',
      'http/no-proxy.ts',
      'http/resolve-host.ts',
      'http/trust.ts',
    ],
  },
  'starts programs or threads': {
    sign: builtin('child_process', 'cluster', 'worker_threads'),
    files: [
      'kubernetes/login-plugin.ts',
      'lib/thread-program.ts',
      'source/decompress/bzip2-thread.ts',
      'transfer/thread-main.ts',
    ],
  },
  'changes or deletes images in Glance': {
    sign: /\bimages\.(?:create|patch|remove|importImage|removeFromStore|deactivate|reactivate|members\.(?:add|remove))\(|\bimages\[\w+\]\(/,
    files: ['image/perform/perform.ts', 'image/perform/sharing.ts', 'transfer/stage.ts'],
  },
  'sends data to Glance': {
    sign: /\bimages\.(?:upload|stage)\(/,
    files: ['transfer/stage.ts', 'transfer/upload.ts'],
  },
  'performs steps without a plan': {
    sign: calls('perform'),
    files: [
      'commands/orphan-deletion.ts',
      'image/perform/pursue.ts',
      'image/perform/use-up.ts',
      'image/reconcile/release.ts',
      'image/reconcile/retain.ts',
    ],
  },
  'makes an egress policy': {
    sign: calls('createEgressPolicy'),
    files: [
      'commands/clouds.ts',
      'commands/egress.ts',
      'commands/jobs.ts',
      'commands/pod-transfer.ts',
      'commands/reach.ts',
      'commands/transfers.ts',
      'transfer/thread-main.ts',
    ],
  },
  'applies an egress policy to connections': {
    sign: calls('guardConnector'),
    files: ['openstack/transport.ts', 'source/transport.ts'],
  },
  'goes through a proxy': { sign: calls('createProxy'), files: ['http/egress.ts', 'library/connect.ts'] },
  'applies the trust of the installation': {
    sign: calls('trustingConnector'),
    files: ['http/proxy.ts', 'openstack/transport.ts', 'source/transport.ts'],
  },
  'parses JSON': {
    sign: /\bJSON\.parse\b/,
    files: ['commands/transfer.ts', 'kubernetes/response.ts', 'lib/json.ts', 'openstack/json.ts'],
  },
  'parses JSON of a cloud': {
    sign: calls('parseJson', 'parseExactJson', 'parseJsonWithTexts'),
    files: [
      'glance/image.ts',
      'openstack/discovery.ts',
      'openstack/error-message.ts',
      'openstack/response.ts',
      'source/checksums/index-file.ts',
    ],
  },
  'bounds JSON before it is parsed': {
    sign: calls('excessOf', 'jsonBounds'),
    files: ['kubernetes/response.ts', 'openstack/json.ts', 'openstack/response.ts', 'source/checksums/index-file.ts'],
  },
  'parses YAML': {
    sign: / from 'yaml'/,
    files: [
      'commands/file-credentials.ts',
      'commands/jobs.ts',
      'commands/kubectl-yaml.ts',
      'commands/limits.ts',
      'commands/manifest-text.ts',
      'generate/crd.ts',
      'kubernetes/kubeconfig.ts',
      'openstack/yaml-text.ts',
    ],
  },
  'reads a body into memory': {
    sign: calls('readBounded'),
    files: [
      'commands/input.ts',
      'kubernetes/login-plugin.ts',
      'kubernetes/response.ts',
      'library/certificates.ts',
      'openstack/response.ts',
      'source/resolve/fetch.ts',
    ],
  },
  'follows redirects': { sign: calls('redirectOf'), files: ['openstack/response.ts', 'source/request.ts'] },
  'checks the hosts of a headers Secret': { sign: calls('checkHeaderHosts'), files: ['transfer/access.ts'] },
  'makes text of a peer printable': {
    sign: calls('printable'),
    files: [
      'commands/output.ts',
      'image/model/memory.ts',
      'image/model/ownership.ts',
      'image/model/transfer.ts',
      'image/status/warning.ts',
      'jobs/message.ts',
      'jobs/objects.ts',
      'lib/errors.ts',
      'openstack/catalog.ts',
      'openstack/error-message.ts',
      'source/resolve/evaluate.ts',
    ],
  },
  'handles tokens in headers': {
    sign: /x-(?:auth|subject|service)-token|['"]?authorization['"]?: /i,
    files: [
      'commands/metrics-access.ts',
      'controller/health.ts',
      'http/proxy.ts',
      'kubernetes/login-plugin.ts',
      'openstack/access-token.ts',
      'openstack/authorizer.ts',
      'openstack/federation.ts',
      'openstack/keystone.ts',
    ],
  },
  'trusts an endpoint outside the catalog': {
    sign: /\btrustEndpoint\b/,
    files: ['library/connect.ts', 'openstack/pool.ts'],
  },
  'reads or writes files': {
    sign: builtin('fs', 'fs/promises'),
    files: [
      'commands/file-credentials.ts',
      'commands/followed-file.ts',
      'commands/input.ts',
      'commands/jobs.ts',
      'commands/manifests.ts',
      'commands/metrics-access.ts',
      'commands/new-files.ts',
      'commands/pod-transfer.ts',
      'commands/transfer.ts',
      'commands/trust.ts',
      'commands/verify.ts',
      'generate/generate.ts',
      'generate/generated.ts',
      'http/proxy.ts',
      'http/resolve-host.ts',
      'kubernetes/kubeconfig.ts',
      'library/download.ts',
    ],
  },
};
