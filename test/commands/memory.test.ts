import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { reportMemory } from '../../src/commands/limits.ts';

function reported(heapMiB: number, containerMiB: number | undefined): { level: number; msg: string } {
  let line = '';
  const write = (text: string) => {
    line = text;
  };
  const log = pino({ base: null }, { write });
  const bytes = (mebibytes: number) => mebibytes * 2 ** 20;
  const containerBytes = containerMiB === undefined ? undefined : bytes(containerMiB);
  reportMemory({ heapBytes: bytes(heapMiB), containerBytes }, log);
  return JSON.parse(line);
}

test('a heap that may outgrow its container causes a warning with the option to set', () => {
  const { level, msg } = reported(400, 450);
  assert.equal(level, pino.levels.values['warn']);
  assert.match(msg, /NODE_OPTIONS=--max-old-space-size-percentage=\d+/);
});

test('a heap that fits, or has no limit, is only logged', () => {
  assert.equal(reported(300, 512).level, pino.levels.values['info']);
  assert.equal(reported(4000, undefined).level, pino.levels.values['info']);
});
