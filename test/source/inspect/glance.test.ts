/**
 * The inspection compared with Glance's code: never more lenient, stricter only where the catalogue has a reason, and
 * equal in sizes.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { labels } from './cases.ts';
import { catalogue } from './catalogue.ts';
import { mib } from './images.ts';
import { judge } from './inspect.ts';
import { mutants } from './mutants.ts';
import { askGlance, type Verdicts } from './oracle.ts';

/** Container formats, which Glance lets pass for raw. */
const containers = ['qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'qed'];

const inBare = (image: Buffer, diskFormat: string) => judge([image], { diskFormat, containerFormat: 'bare' });

describe('in comparison with the code of Glance', () => {
  let answers: Verdicts[];
  before(async () => {
    answers = await askGlance(catalogue.map(({ image }) => ({ image, labels })));
  });

  for (const [index, entry] of catalogue.entries()) {
    test(`${entry.label}: ${entry.name}`, () => {
      const reasons = labels.filter((label, at) => {
        const glance = answers[index]?.[at];
        assert.ok(glance);
        const ours = inBare(entry.image, label);
        if (ours.kind === 'accepted') {
          assert.ok(glance.accepted, `Glance rejects it as ${label}: ${glance.message}`);
          if (!entry.unsized) assert.equal(ours.virtualSize ?? null, glance.virtual_size, `the size as ${label}`);
          return false;
        }
        // Stricter than Glance, which needs a reason.
        return glance.accepted && !(label === 'raw' && containers.includes(entry.label));
      });
      if (entry.why === undefined) assert.deepEqual(reasons, [], 'rejected without a reason');
      else assert.ok(reasons.length > 0, `Glance rejects it, too, so no reason is needed: ${entry.why}`);
    });
  }

  test('Glance inspects alike for any piece size, except that large pieces hide the size of a VHDX', async () => {
    for (const chunk of [512, 8 * mib]) {
      const own = await askGlance(catalogue.map(({ image, label }) => ({ image, labels: [label], chunk })));
      const milder = catalogue.filter(
        ({ image, label }, index) =>
          inBare(image, label).kind === 'accepted' && own[index]?.some(({ accepted }) => !accepted),
      );
      // A store on Ceph reads 8 MiB at once; then Glance rejects every VHDX, and the store is not known beforehand.
      const known = chunk === 512 ? [] : catalogue.filter(({ label, own }) => label === 'vhdx' && own === 'ok');
      assert.deepEqual(
        milder.map(({ name }) => name),
        known.map(({ name }) => name),
      );
    }
  });

  test('Glance and the inspection agree on hundreds of mutants', async () => {
    const sample = fc.sample(mutants, { numRuns: 700, seed: 20261124 });
    const questions = sample.map(({ label, image }) => ({
      image,
      labels: [label, 'raw', labels[image.length % labels.length] ?? label],
    }));
    const told = await askGlance(questions);
    const pairs = questions.flatMap(({ image, labels: asked }, index) =>
      asked.map((label, at) => {
        const [ours, glance, name] = [inBare(image, label), told[index]?.[at], sample[index]?.name];
        return { what: `${name} as ${label}`, label, ours, accepted: glance?.accepted, size: glance?.virtual_size };
      }),
    );
    const taken = pairs.filter(({ ours }) => ours.kind === 'accepted');
    assert.deepEqual(
      taken.filter(({ accepted }) => accepted !== true).map(({ what }) => what),
      [],
    );
    const differing = taken.filter(({ ours, size, label }) => {
      // Glance has no size for a raw image whose inspection broke off.
      if (ours.kind === 'refused' || (label === 'raw' && size === null)) return false;
      return (ours.virtualSize ?? null) !== size;
    });
    assert.deepEqual(differing, []);
    const refused = pairs.filter(({ ours }) => ours.kind === 'refused');
    assert.ok(
      taken.length > 100 && refused.some(({ accepted }) => accepted) && refused.some(({ accepted }) => !accepted),
    );
  });
});

test('Glance inspects images only in bare containers', async () => {
  const [answer] = await askGlance([
    { image: Buffer.from('x'.repeat(100)), labels: ['qcow2', 'vmdk'], container: 'ova' },
  ]);
  assert.deepEqual(answer, Array(2).fill({ accepted: true, virtual_size: null, message: '' }));
});
