import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSettings } from '../../src/commands/config.ts';
import { runSettings } from '../../src/commands/settings.ts';
import { createTransfers } from '../../src/commands/transfers.ts';
import { createTrust } from '../../src/http/trust.ts';
import { createLogger } from '../../src/lib/log.ts';
import { silentObserver } from '../../src/transfer/meter.ts';
import { createVirtualClock } from '../clock.ts';

test('the flags for the bounds of images apply to transfers and to what Glance downloads by itself', async () => {
  const flags = [
    '--gpt-safety-checks-nonfatal',
    'mbr,gptmbr',
    '--max-virtual-size-gib',
    '7',
    '--max-image-size-gib',
    '3',
  ];
  const nowhere = { allow: [], deny: [] };
  const { limits, webDownloads, close } = createTransfers({
    settings: readSettings(runSettings, flags, {}),
    egress: { sources: nowhere, clouds: nowhere },
    trust: createTrust(),
    fence: undefined,
    credentials: { secret: async () => undefined },
    configMaps: { configMap: async () => undefined },
    observer: silentObserver,
    clock: createVirtualClock(),
    random: Math.random,
    log: createLogger('error', { write: () => {} }),
  });
  await close();
  const bounds = { maxVirtualBytes: 7 * 2 ** 30, nonfatal: ['mbr', 'gptmbr'] };
  assert.partialDeepStrictEqual(webDownloads, bounds);
  const { nonfatal: nonfatalChecks, maxVirtualBytes } = bounds;
  assert.partialDeepStrictEqual(limits, { maxBytes: 3 * 2 ** 30, maxVirtualBytes, nonfatalChecks });
});
