/** The commands status, diff, rollback and orphans on real servers. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import type { Command } from '../../src/commands/command.ts';
import { diffCommand } from '../../src/commands/diff.ts';
import { orphansCommand } from '../../src/commands/orphans.ts';
import { candidates, commandsForPeople } from '../../src/commands/people.ts';
import { rollbackCommand } from '../../src/commands/rollback.ts';
import { statusCommand } from '../../src/commands/status.ts';
import { verifyCommand } from '../../src/commands/verify.ts';
import { createVirtualClock } from '../clock.ts';
import { qcow2, raw } from '../env/images.ts';
import { digestOf } from '../operator/digest.ts';
import { World } from '../operator/world.ts';
import { type SurroundingsOptions, surroundings } from './surroundings.ts';

const bodies = { a: raw(4096, 'a'), b: raw(8192, 'b') };

describe('the commands for people', () => {
  let world: World;
  let folder: string;
  before(async () => {
    world = await World.create();
    folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-people-'));
    writeFileSync(join(folder, 'clouds.yaml'), await world.project.cloudsYaml());
  });
  after(async () => {
    rmSync(folder, { recursive: true });
    await world[Symbol.asyncDispose]();
  });

  const spec = (name: keyof typeof bodies) => {
    const url = world.source.add(`/${name}.raw`, { body: bodies[name] });
    return {
      image: { diskFormat: 'raw', properties: { os_distro: 'x' } },
      content: { http: { url, digest: digestOf(bodies[name]) } },
    };
  };
  const access = () => ['--kubeconfig', world.stack.kubernetes.kubeconfig(world.user)];
  const inNamespace = () => [...access(), '--namespace', world.namespace];
  const toCloud = ['--cloud-allow', '127.0.0.0/8', '--source-allow', '127.0.0.0/8'];

  async function run(command: Command, args: readonly string[], options: SurroundingsOptions = {}) {
    const around = surroundings(options);
    const code = await command.run([...args], () => around);
    return { code, out: around.output(), err: around.errors() };
  }

  test('status shows the revisions of a resource, diff the difference from its declaration, and rollback pins the revision before', async () => {
    await world.apply('ubuntu', spec('a'));
    const first = await world.ready('ubuntu');
    const same = await run(diffCommand, ['ubuntu', ...inNamespace(), ...toCloud]);
    assert.deepEqual(same, { code: 0, out: '', err: '' });

    await world.patchImage(first.status.imageID, [
      { op: 'replace', path: '/name', value: 'renamed' },
      { op: 'replace', path: '/os_distro', value: 'y' },
    ]);
    const differs = await run(diffCommand, ['ubuntu', ...inNamespace(), ...toCloud]);
    assert.equal(differs.code, 2, differs.err);
    assert.match(differs.out, /^--- cloud\/ubuntu\n\+\+\+ declared\/ubuntu\n@@ /);
    assert.match(differs.out, /^-name: renamed\n\+name: ubuntu$/m);
    assert.match(differs.out, /^- {2}os_distro: "y"\n\+ {2}os_distro: x$/m);

    await world.apply('ubuntu', spec('b'));
    const second = await world.ready('ubuntu');
    assert.notEqual(second.status.imageID, first.status.imageID);
    const shown = await run(statusCommand, ['ubuntu', ...inNamespace()]);
    assert.equal(shown.code, 0, shown.err);
    assert.match(shown.out, new RegExp(`^1 +Current +${second.status.imageID} `, 'm'));
    assert.match(shown.out, new RegExp(`^0 +Retired +${first.status.imageID} `, 'm'));

    const back = await run(rollbackCommand, ['ubuntu', ...inNamespace()]);
    assert.deepEqual([back.code, back.err], [0, '']);
    const pinned = await world.until('ubuntu', 'rolled back', ({ status }) => status.imageID === first.status.imageID);
    assert.equal(pinned.spec.revisions?.pin, digestOf(bodies.a));
    const unknown = await run(rollbackCommand, ['ubuntu', '--to', `sha256:${'0'.repeat(64)}`, ...inNamespace()]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.err, /has no revision with the digest sha256:0+: status\.revisions names sha256:/);
  });

  test('rollback warns where Flux or Argo CD manages the resource', async () => {
    await world.apply('managed', spec('a'), { labels: { 'kustomize.toolkit.fluxcd.io/name': 'images' } });
    await world.ready('managed');
    const to = ['--to', digestOf(bodies.a)];
    const { code, err } = await run(rollbackCommand, ['managed', ...to, ...inNamespace()]);
    assert.equal(code, 0);
    assert.match(err, /^Warning: the Flux Kustomization images manages this resource and may remove the pin/);
    await world.apply('managed', spec('a'), { labels: { 'argocd.argoproj.io/instance': 'apps' } });
    const argo = await run(rollbackCommand, ['managed', ...to, ...inNamespace()]);
    assert.match(argo.err, /^Warning: the Argo CD Application apps manages this resource/);
  });

  test('status lists the resources of a namespace with the worst first, and a failure with its remedy', async () => {
    await world.apply('aaa', { image: {} });
    await world.ready('aaa');
    const { url } = spec('a').content.http;
    await world.apply('zzz', {
      ...spec('a'),
      content: { http: { url: `${url}-missing`, digest: digestOf(bodies.a) } },
    });
    await world.until('zzz', 'failed', ({ status }) => status.lastError !== undefined);
    const list = await run(statusCommand, inNamespace());
    const names = list.out.split('\n').map((line) => line.split(/ {2,}/)[1]);
    assert.deepEqual(names.slice(0, 2), ['NAME', 'zzz'], list.out);
    assert.ok(names.includes('aaa'));
    const one = await run(statusCommand, ['zzz', ...inNamespace()]);
    assert.match(one.out, /SourceNotFound\n {2}.*404[\s\S]*What to do: .*[\s\S]*failed attempt.*HTTP 404/);
    const json = await run(statusCommand, [...inNamespace(), '--output', 'json']);
    const parsed = z
      .object({ resources: z.array(z.looseObject({ name: z.string(), state: z.string() })) })
      .parse(JSON.parse(json.out));
    assert.ok(parsed.resources.some(({ name, state }) => name === 'aaa' && state === 'ready'));
  });

  test('verify reads an image in Glance back, and says whether the operator would accept it', async () => {
    const image = await world.project.createImage({ name: 'disk', disk_format: 'qcow2' }, qcow2(2 ** 30));
    const flags = ['--os-cloud', 'demo', '--clouds-yaml', join(folder, 'clouds.yaml'), '--cloud-allow', '127.0.0.0/8'];
    const { code, out, err } = await run(verifyCommand, [image.id, ...flags]);
    assert.equal(code, 0, err);
    assert.match(out, /^declared format: +qcow2$[\s\S]*^virtual size: +1073741824 bytes \(1Gi\)$/m);
    const wrong = await run(verifyCommand, [image.id, ...flags, '--digest', `sha256:${'0'.repeat(64)}`]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.out, /The operator would reject it: DigestMismatch/);
  });

  test('the completion of a name offers the resources of the namespace', async () => {
    for (const name of ['completed-a', 'completed-b', 'other']) await world.apply(name, { image: {}, suspend: true });
    // In virtual time: the deadline of a completion does not pass.
    const around = { ...surroundings(), clock: createVirtualClock() };
    const found = await candidates(['diff', ...inNamespace(), 'completed-'], commandsForPeople, around);
    assert.deepEqual(found?.toSorted(), ['completed-a', 'completed-b']);
  });

  test('a watch of the status ends without an error when it is interrupted', async () => {
    const stop = new AbortController();
    const around = surroundings({ signal: stop.signal });
    const watching = statusCommand.run(['--watch', ...inNamespace()], () => ({
      ...around,
      out: {
        write(text: string) {
          around.out.write(text);
          stop.abort(new Error('stopped by SIGINT'));
        },
      },
    }));
    assert.equal(await watching, 0);
    assert.equal(around.errors(), '');
  });

  test('orphans are the images with the mark of this cluster that no resource names, and only those are deleted, after a confirmation', async () => {
    const { kubernetes } = world.stack;
    const answer = await kubernetes.request('GET', '/api/v1/namespaces/kube-system');
    const cluster = answer.as(z.object({ metadata: z.object({ uid: z.string() }) })).metadata.uid;
    const mark = (name: string) => ({ glance_image_operator_owner: `${world.namespace}/${name}/${'0'.repeat(32)}` });
    const lost = await world.project.createImage(
      { name: 'lost', protected: true, ...mark('gone'), glance_image_operator_cluster: cluster },
      raw(4096, 'x'),
    );
    const retained = await world.project.createImage({ name: 'retained', ...mark('gone') });
    const other = await world.project.createImage({
      name: 'other',
      ...mark('gone'),
      glance_image_operator_cluster: 'other',
    });
    await world.apply('kept', { image: {} });
    const kept = await world.ready('kept');
    const flags = [...access(), ...toCloud, '--os-cloud', 'demo', '--clouds-yaml', join(folder, 'clouds.yaml')];

    const listed = await run(orphansCommand, [...flags, '--output', 'json']);
    assert.equal(listed.code, 2, listed.err);
    const parsed = z
      .object({ orphans: z.array(z.object({ id: z.string() })), bytes: z.number() })
      .parse(JSON.parse(listed.out));
    assert.deepEqual([parsed.orphans.map(({ id }) => id), parsed.bytes], [[lost.id], 4096]);

    const protectedOne = await run(orphansCommand, [...flags, '--delete', '--yes']);
    assert.equal(protectedOne.code, 2);
    assert.equal(protectedOne.err, '1 protected image will stay. --unprotect deletes such images too.\n');
    const deletion = [...flags, '--delete', '--unprotect'];
    const unconfirmed = await run(orphansCommand, deletion);
    assert.equal(unconfirmed.code, 1);
    assert.match(unconfirmed.err, /--delete needs a confirmation/);
    const declined = await run(orphansCommand, deletion, { lines: ['y'] });
    assert.deepEqual([declined.code, declined.err], [2, 'Nothing was deleted.\n']);
    assert.ok((await world.images()).some(({ id }) => id === lost.id));

    const confirmed = await run(orphansCommand, deletion, { lines: ['yes'] });
    assert.deepEqual([confirmed.code, confirmed.err], [0, '']);
    assert.match(confirmed.out, /lost +\S+\/gone .* yes +4Ki\n[\s\S]*Deleted 1 of 1 image\./);
    const ids = (await world.images()).map(({ id }) => id);
    assert.ok(!ids.includes(lost.id));
    for (const id of [retained.id, other.id, kept.status.imageID ?? '']) assert.ok(ids.includes(id), id);
    const none = await run(orphansCommand, flags);
    assert.deepEqual([none.code, none.out], [0, 'There are no orphans.\n']);
  });
});
