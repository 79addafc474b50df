/**
 * `npm run demo`: the operator does its whole job on a real Kubernetes API server, a real Keystone and a real Glance,
 * for a human viewer. It ends by itself, or stays up with `--keep`.
 *
 * Invariant: all output comes from those servers.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import { apiVersion, kind } from '../../src/api/group.ts';
import { generated } from '../env/content.ts';
import { qcow2, raw } from '../env/images.ts';
import { folders } from '../env/parts.mjs';
import { digestOf } from '../operator/digest.ts';
import { World } from '../operator/world.ts';
import { command, indent, say, showImages, title } from './screen.ts';

const mib = 2 ** 20;

title('Starting a Kubernetes API server, Keystone and Glance, all of them real');
const world = await World.create();
const { kubernetes, openstack } = world.stack;
say(`  Kubernetes  ${kubernetes.server}`);
say(`  Keystone    ${openstack.authUrl}`);
say(`  Glance      ${openstack.imageUrl}`);
say(`  operator    process ${world.operator.pid}, namespace ${world.namespace}`);

const kubectl = async (...args: string[]) => {
  command(`kubectl ${args.join(' ')}`);
  const { stdout, stderr } = await kubernetes.kubectl(args, { namespace: world.namespace });
  indent(stdout + stderr);
};

function manifest(name: string, spec: Record<string, unknown>): Record<string, unknown> {
  return {
    apiVersion,
    kind,
    metadata: { name },
    spec: { cloud: { secretRef: { name: 'openstack' }, name: 'demo' }, ...spec },
  };
}

async function apply(...manifests: Record<string, unknown>[]): Promise<void> {
  const yaml = manifests.map((one) => stringify(one)).join('---\n');
  indent(yaml);
  command('kubectl apply -f images.yaml');
  indent(await kubernetes.apply(yaml, { namespace: world.namespace }));
}

/** `kubectl get gimg -w`, shown while the work is done. */
function watch(): ChildProcess {
  command('kubectl get glanceimages --watch');
  const child = spawn(
    join(folders.tools, 'kubectl'),
    ['--namespace', world.namespace, 'get', 'glanceimages', '--watch'],
    {
      env: { ...process.env, KUBECONFIG: kubernetes.kubeconfig() },
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  createInterface({ input: child.stdout }).on('line', indent);
  return child;
}

async function watching(work: () => Promise<unknown>): Promise<void> {
  const child = watch();
  try {
    await work();
  } finally {
    child.kill();
    await once(child, 'exit');
  }
}

async function showGlance(): Promise<void> {
  say('  The images in Glance, as Glance lists them:');
  showImages(await world.images());
}

async function showRevisions(): Promise<void> {
  const lines = '{range .status.revisions[*]}{.imageID} {.state}{"\\n"}{end}';
  await kubectl('get', 'glanceimage', 'ubuntu-24.04', '-o', `jsonpath=${lines}`);
}

try {
  const ubuntu = qcow2(4096 * mib, { dataClusters: 768 });
  const nextUbuntu = qcow2(4096 * mib, { dataClusters: 512, seed: 'the next build' });
  const appliance = Buffer.from(generated(96 * mib).slice(0, 96 * mib));
  const other = raw(mib, 'what the mirror really has');
  const files = {
    ubuntu: world.source.add('/ubuntu-24.04.qcow2', { body: ubuntu }),
    nextUbuntu: world.source.add('/ubuntu-24.04.1.qcow2', { body: nextUbuntu }),
    appliance: world.source.add('/appliance.raw', {
      body: appliance,
      fault: { kind: 'drip', bytesPerSecond: 8 * mib },
    }),
    tampered: world.source.add('/tampered.raw', { body: other }),
  };
  const builds = {
    first: { url: files.ubuntu, digest: digestOf(ubuntu) },
    next: { url: files.nextUbuntu, digest: digestOf(nextUbuntu) },
  };
  const image = (properties: Record<string, unknown>, http = builds.first) =>
    manifest('ubuntu-24.04', {
      interval: '10s',
      image: { diskFormat: 'qcow2', protected: true, minDiskGiB: 4, tags: ['lts', 'ubuntu'], properties },
      content: { http },
    });

  title(
    '1. Four images are declared: a real qcow2, a large raw one from a slow mirror, a record, and one with a wrong digest',
  );
  await apply(
    image({ os_distro: 'ubuntu', os_version: '24.04', hw_disk_bus: 'virtio' }),
    manifest('appliance', {
      image: { diskFormat: 'raw' },
      content: { http: { url: files.appliance, digest: digestOf(appliance) } },
    }),
    manifest('record-only', { image: { visibility: 'shared', properties: { note: 'its data comes from elsewhere' } } }),
    manifest('tampered', {
      image: { diskFormat: 'raw' },
      content: { http: { url: files.tampered, digest: digestOf(appliance) } },
    }),
  );
  await watching(() =>
    Promise.all([
      world.ready('ubuntu-24.04'),
      world.ready('appliance'),
      world.ready('record-only'),
      world.reason('tampered', 'DigestMismatch'),
    ]),
  );
  await kubectl('get', 'glanceimages');
  await showGlance();

  title('2. The file with the wrong digest was rejected before Glance could activate it, and the status says why');
  await kubectl(
    'get',
    'glanceimage',
    'tampered',
    '-o',
    'jsonpath={.status.conditions[?(@.type=="Ready")].message}{"\\n"}',
  );

  title('3. An edit, in Git style: one property changes, one is added, one is not declared any more');
  await apply(image({ os_distro: 'ubuntu', os_version: '24.04.1', hw_vif_model: 'virtio' }));
  await world.ready('ubuntu-24.04');
  await showGlance();

  title('4. A user changes the image by hand in Glance; the operator corrects it within its interval');
  const { status } = await world.ready('ubuntu-24.04');
  const byHand = [
    { op: 'replace', path: '/name', value: 'renamed-by-hand' },
    { op: 'add', path: '/stray', value: 'left behind' },
  ];
  command(`curl -X PATCH ${openstack.imageUrl}/v2/images/${status.imageID} -d '${JSON.stringify(byHand)}'`);
  await world.patchImage(status.imageID, byHand);
  await showGlance();
  await world.untilEvent('DriftCorrected');
  await kubectl(
    'get',
    'events',
    '--field-selector',
    'reason=DriftCorrected',
    '-o',
    'custom-columns=REASON:.reason,MESSAGE:.message',
  );
  await showGlance();

  title(
    '5. A new build is declared: it takes the place of the old one once it is verified, and the old one stays, hidden',
  );
  const edited = { os_distro: 'ubuntu', os_version: '24.04.1', hw_vif_model: 'virtio' };
  await apply(image(edited, builds.next));
  await world.ready('ubuntu-24.04');
  await showRevisions();
  await showGlance();

  title('6. Git goes back to the old build: Glance has it still, so nothing is downloaded');
  const before = world.source.requests.length;
  await apply(image(edited));
  await world.ready('ubuntu-24.04');
  await showRevisions();
  await showGlance();
  say(`  Requests to the mirror since the edit: ${world.source.requests.length - before}`);

  title('7. Everything is deleted, the protected images too');
  command('kubectl delete glanceimages --all --wait=false');
  await kubernetes.kubectl(['delete', 'glanceimages', '--all', '--wait=false'], { namespace: world.namespace });
  await Promise.all(['ubuntu-24.04', 'appliance', 'record-only', 'tampered'].map((name) => world.gone(name)));
  await kubectl('get', 'glanceimages');
  await showGlance();

  title('Done');
  if (process.argv.includes('--keep')) {
    say('  The servers and the operator stay up until Ctrl-C. To use them:');
    say(`  export KUBECONFIG=${kubernetes.kubeconfig()}`);
    say(`  ${join(folders.tools, 'kubectl')} -n ${world.namespace} get glanceimages`);
    await once(process, 'SIGINT');
  }
} finally {
  await world[Symbol.asyncDispose]();
}
