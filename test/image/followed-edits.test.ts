/**
 * A lost status where the digest is left to a publisher: the image says for which declaration it was found, so the digest of another
 * source is not pinned.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { declarationOn } from '../../src/image/model/fingerprint.ts';
import { contentProperty } from '../../src/image/model/identity.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { publishersOf } from './following.ts';
import { createWorld, type World } from './world.ts';
import { sha256 } from './world-glance.ts';

const file = (host: string) => `https://${host}.example.com/disk.raw`;
const list = (host: string) => `https://${host}.example.com/SHA256SUMS`;

const kinds = {
  'a list of digests': {
    asks: list,
    http: (host: string) => ({ url: file(host), digestFrom: { checksums: { url: list(host) } } }),
  },
  'a file that is trusted at its first use': {
    asks: file,
    http: (host: string) => ({ url: file(host), digestFrom: { firstUse: {} } }),
  },
};

for (const [what, { asks, http }] of Object.entries(kinds)) {
  const spec = (host: string, more: Record<string, unknown> = {}) => ({
    image: { name: 'ubuntu', diskFormat: 'raw' },
    content: { http: http(host), ...more },
    revisions: { keep: 0 },
  });

  /** With the image of `a`, from the host `one`. */
  const atFirst = async (second: string) => {
    const publishers = publishersOf({ [asks('one')]: 'a', [asks('two')]: second }, file('one'));
    const world = createWorld({ spec: spec('one'), following: publishers.following });
    await reached(world, 'a');
    const { imageID = assert.fail() } = world.status ?? {};
    publishers.read.length = 0;
    world.log.length = 0;
    return { world, publishers, imageID };
  };

  test(`${what} at another URL, declared while the status is lost, gives another image, and never Ready with the data before`, async () => {
    const { world, publishers, imageID } = await atFirst('b');
    world.edit(spec('two'));
    world.loseStatus();
    await reached(world, 'b', () => assert.ok(!(world.ready() === 'True Ready' && world.status?.imageID === imageID)));
    assert.deepEqual(publishers.read, [asks('two')]);
  });

  test(`${what} at another URL, declared while the status is lost, keeps the image if it has the same digest`, async () => {
    const { world, publishers, imageID } = await atFirst('a');
    world.edit(spec('two'));
    world.loseStatus();
    await reached(world, 'a');
    assert.equal(world.status?.imageID, imageID);
    assert.deepEqual(publishers.read, [asks('two')]);
    assert.deepEqual(transfers(world), []);
    // From now on the image is of the new declaration.
    publishers.publish(asks('two'), 'b');
    world.loseStatus();
    await world.restart();
    await reached(world, 'a');
    assert.deepEqual([publishers.read.length, transfers(world)], [1, []]);
  });

  test(`${what} stays the same image after a lost status without another download, whatever the publisher has by now`, async () => {
    const { world, publishers, imageID } = await atFirst('b');
    publishers.publish(asks('one'), 'b');
    for (const process of ['the same', 'another']) {
      if (process === 'another') await world.restart();
      world.loseStatus();
      await reached(world, 'a');
      assert.equal(world.status?.imageID, imageID, process);
      assert.deepEqual([publishers.read, transfers(world)], [[], []], process);
    }
  });

  test(`${what} is asked for again after a lost status if the image does not say for which declaration it was made`, async () => {
    const { world, publishers, imageID } = await atFirst('b');
    const { properties } = world.images.get(imageID) ?? assert.fail();
    const mark = properties[contentProperty] ?? assert.fail();
    const unsaid = String(mark).replace(/;source=[0-9a-f]{16}/, '');
    assert.notEqual(unsaid, mark);
    world.meddle(imageID, { properties: { ...properties, [contentProperty]: unsaid } });
    world.loseStatus();
    await world.restart();
    await reached(world, 'a');
    assert.deepEqual([publishers.read, transfers(world)], [[asks('one')], []]);
    assert.equal(declarationOn(world.images.get(imageID) ?? assert.fail()), world.status?.source?.declaration);
  });

  test(`${what} at another URL that is declared without a loss costs one change of the image, if the digest is the same`, async () => {
    const { world, imageID } = await atFirst('a');
    world.edit(spec('two'));
    await reached(world, 'a');
    assert.equal(world.status?.imageID, imageID);
    assert.deepEqual(
      world.log.filter((line) => !line.startsWith('status')),
      [`patch ${imageID.slice(0, 4)}`],
    );
  });
}

const index = 'https://one.example.com/index.json';
const ofDocuments = {
  'a list': { http: kinds['a list of digests'].http('one') },
  'an index': { index: { url: index, format: 'JSONPointer', file: '/url', digest: '/digest' } },
};

for (const [what, content] of Object.entries(ofDocuments))
  for (const [when, update] of [
    ['without update', {}],
    ['with update', { update: { interval: '24h' } }],
  ] as const)
    for (const code of ['DigestMismatch', 'FormatMismatch'] as const) {
      const start = async (first: string | OperatorError) => {
        const publishers = publishersOf({ [list('one')]: 'a', [index]: 'a' }, file('one'));
        const spec = {
          image: { name: 'ubuntu', diskFormat: 'raw' },
          content: { ...content, ...update },
          revisions: { keep: 0 },
        };
        const world = createWorld({ spec, following: publishers.following });
        world.serve(() => first);
        await world.settle(6);
        publishers.publish(list('one'), 'b');
        publishers.publish(index, 'b');
        // The document at the URL of an index is no image.
        world.serve(({ digest, source }) =>
          digest === sha256('b') && !JSON.stringify(source).includes(index)
            ? 'b'
            : new OperatorError('other data', { code }),
        );
        world.loseStatus();
        await world.restart();
        return world;
      };

      test(`${what} ${when} gives the present file if the one before was replaced before its image had data and the status was lost (${code})`, async () => {
        const world = await start(new OperatorError('the source is down', { code: 'SourceUnavailable' }));
        assert.equal(world.images.size, 1);
        await reached(world, 'b');
        await world.settle();
        assert.deepEqual([...world.images.keys()], [world.status?.imageID]);
      });

      test(`${what} ${when} gives the present file if the image of the one before is deleted by another client after a lost status (${code})`, async () => {
        const world = await start('a');
        await world.settle();
        const { imageID = assert.fail() } = world.status ?? {};
        world.foreignDelete(imageID);
        await reached(world, 'b');
      });
    }

const transfers = (world: World) => world.log.filter((line) => /^(create|put|filled|delete)/.test(line));

/** Reconciles until the image to use has the data, and nothing is left to do. */
async function reached(world: World, data: string, check: () => void = () => {}): Promise<void> {
  for (let reconciles = 0; reconciles < 1000; reconciles++) {
    const outcome = await world.step();
    check();
    await world.clock.advance(0);
    if (outcome?.kind === 'requeueAfter' && !world.isTransferring())
      await world.clock.advance(Math.min(outcome.afterMs, 60_000));
    const { imageID, source, observedGeneration } = world.status ?? {};
    const isThere = imageID !== undefined && world.data.get(imageID) === data && source?.digest === sha256(data);
    const isSeen = observedGeneration === world.resource?.metadata.generation;
    if (isThere && isSeen && world.ready() === 'True Ready' && world.images.get(imageID)?.name === 'ubuntu') return;
  }
  assert.fail(`${world.ready()}: ${world.message()}\n${world.log.join('\n')}\n${world.show().join('\n')}`);
}
