/** The publication of an image that is observed: nothing of it reaches Glance. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StatusOutcome } from '../../src/image/access/resources.ts';
import type { Report } from '../../src/image/model/report.ts';
import type { OwnConfigMaps } from '../../src/image/perform/config-maps.ts';
import { publishObserved } from '../../src/image/reconcile/publish-observed.ts';
import type { Confirmation } from '../../src/kubernetes/resources.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { passOf } from './contexts.ts';
import { foreignImage } from './observing.ts';
import { memoryOf } from './states.ts';

const image = foreignImage(1, { name: 'golden' });
const converged: Report = {
  end: { kind: 'converged' },
  memory: memoryOf({ observed: image.id, promoted: image.id }),
  observed: { revisions: [{ number: 0, image, ownership: { kind: 'observed' } }], listed: false },
  changes: [],
};
const publish = { configMapRef: { name: 'golden' } };

interface Options {
  publish?: object | undefined;
  report?: Report;
  configMaps?: Partial<OwnConfigMaps>;
  written?: StatusOutcome;
  /** Of the resource, by the API server. */
  confirmation?: Confirmation;
}

/** What came of it, and the calls that it took. */
async function published(options: Options) {
  const {
    publish: declared,
    report = converged,
    configMaps = {},
    written = 'written',
    confirmation = 'current',
  } = options;
  const calls: string[] = [];
  const spec = { managementPolicy: 'Observe', import: { id: image.id }, ...(declared && { publish: declared }) };
  const { pass, context, reached } = passOf({ resource: { spec }, written });
  const own: OwnConfigMaps = {
    read: async (name) => {
      calls.push(`read ${name}`);
      return { kind: 'absent' };
    },
    write: async (name, data) => void calls.push(`write ${name} ${data['imageID']}`),
    remove: async (name) => void calls.push(`remove ${name}`),
    ...configMaps,
  };
  const resources: typeof context.resources = { ...context.resources, confirm: async () => confirmation };
  const ended = await publishObserved(report, pass, { ...context, resources, configMaps: { of: () => own } });
  return { ended, calls, statuses: reached.statuses };
}

describe('the publication of an observed image', () => {
  test('an observed image is published after the name of the ConfigMap is remembered', async () => {
    const { ended, calls, statuses } = await published({ publish });
    assert.deepEqual(calls, ['read golden', `write golden ${image.id}`]);
    assert.partialDeepStrictEqual(statuses, [{ operation: { configMaps: ['golden'] } }]);
    assert.partialDeepStrictEqual(ended, {
      report: {
        end: { kind: 'converged' },
        memory: { configMaps: ['golden'] },
        changes: [{ kind: 'published', configMap: 'golden' }],
      },
    });
  });

  test('an observed image without a publication costs no call', async () => {
    const { ended, calls } = await published({});
    assert.deepEqual(calls, []);
    assert.deepEqual(ended, { kind: 'report', report: converged });
  });

  test('while an observed image cannot be used, its ConfigMap stays as it is', async () => {
    const error = new OperatorError('it is gone', { code: 'ImportVanished' });
    const { calls } = await published({ publish, report: { ...converged, end: { kind: 'failed', error } } });
    assert.deepEqual(calls, []);
  });

  test('the ConfigMap of an observed image is deleted when it is not declared any more', async () => {
    const report = { ...converged, memory: { ...converged.memory, configMaps: ['golden'] } };
    const read: OwnConfigMaps['read'] = async () => ({ kind: 'own', data: {}, isMarked: true });
    const { ended, calls } = await published({ report, configMaps: { read } });
    assert.deepEqual(calls, ['remove golden']);
    assert.ok(ended.kind === 'report' && ended.report.memory.configMaps === undefined);
  });

  test('a ConfigMap of another owner is reported, and the observed image is shown nevertheless', async () => {
    const read: OwnConfigMaps['read'] = async () => ({ kind: 'foreign', why: 'exists and has no owner' });
    const { ended, calls } = await published({ publish, configMaps: { read } });
    assert.deepEqual(calls, []);
    assert.ok(ended.kind === 'report' && ended.report.end.kind === 'failed');
    assert.equal(ended.report.end.error.code, 'ConfigMapNotOwned');
    assert.equal(ended.report.memory.promoted, image.id);
  });

  test('nothing is published for a resource that is gone or has another status', async () => {
    for (const [written, kind] of [
      ['gone', 'awaitChange'],
      ['outdated', 'requeue'],
    ] as const) {
      const unpublished = {
        report: { ...converged, memory: { ...converged.memory, configMaps: ['golden'] } },
        configMaps: { read: async () => ({ kind: 'own', data: {}, isMarked: true }) as const },
      };
      for (const end of [
        { publish, written },
        { publish, confirmation: written },
        { ...unpublished, confirmation: written },
      ]) {
        const { ended, calls } = await published(end);
        assert.deepEqual(
          calls.filter((call) => call !== 'read golden'),
          [],
        );
        assert.deepEqual(ended, { kind: 'outcome', outcome: { kind } });
      }
    }
  });
});
