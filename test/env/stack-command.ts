/**
 * `npm run stack`: keeps the servers running for interactive use, with a project whose credentials are in a Secret.
 *
 * Guarantees: it prints how to use them, and removes everything when it ends.
 */
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { folders } from './parts.mjs';
import { startStack } from './stack.ts';

const root = resolve(import.meta.dirname, '../..');
process.stdout.write('Starting the servers…\n');
const stack = await startStack();
const { kubernetes, openstack } = stack;
await kubernetes.apply(join(root, 'crds'));
const project = await openstack.createProject('demo');
const secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'openstack', namespace: 'default' },
  stringData: { 'clouds.yaml': await project.cloudsYaml() },
};
await kubernetes.apply(JSON.stringify(secret));
process.stdout.write(`
Kubernetes ${kubernetes.server}, Keystone ${openstack.authUrl}, Glance ${openstack.imageUrl}

  export KUBECONFIG=${kubernetes.kubeconfig()}
  export PATH=${folders.tools}:$PATH
  node_modules/.bin/node src/main.ts run --source-allow 127.0.0.0/8 --cloud-allow 127.0.0.0/8     # the operator, in another terminal
  kubectl get secret openstack                          # clouds.yaml of project ${project.name}, cloud "demo"
  kubectl get glanceimages --watch

Logs are in ${join(stack.directory, 'logs')}. Ctrl-C ends everything.
`);
// Waiting for a signal alone does not keep a process alive.
const alive = setInterval(() => {}, 2 ** 30);
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
clearInterval(alive);
await stack.stop();
