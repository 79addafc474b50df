import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applied, bookmark, deleted, endOfList, failure, noStreams, page, type Step, start } from './script.ts';

const streams = { streams: true };

test('a streaming list replaces everything once, at its mark, and goes on as the watch', async () => {
  const { clock, asked, told, progress, finish } = start(
    [
      [
        { at: 0, line: applied('a', '1') },
        { at: 0, line: applied('b', '2') },
        { at: 10, line: endOfList('5') },
        { at: 1000, line: applied('c', '6') },
        { at: 265_000, end: 'cleanly' },
      ],
      [],
    ],
    streams,
  );
  await clock.advance(265_000);
  assert.deepEqual(asked, ['0 stream', '265 watch 6']);
  assert.deepEqual(told, ['restarted a,b', 'applied c 6']);
  assert.deepEqual(
    progress.find((step) => step.kind === 'listed'),
    { kind: 'listed', objects: 2 },
  );
  await finish();
});

test('changes during a streaming list are part of it, also deletions', async () => {
  const { clock, told, finish } = start(
    [
      [
        { at: 0, line: applied('a', '1') },
        { at: 0, line: applied('b', '2') },
        { at: 0, line: deleted('a', '3') },
        { at: 0, line: applied('b', '4') },
        { at: 0, line: bookmark('4') },
        { at: 0, line: endOfList('5') },
      ],
    ],
    streams,
  );
  await clock.advance(10);
  assert.deepEqual(told, ['restarted b']);
  await finish();
});

for (const refusal of [noStreams, failure('BadRequest', 400)])
  test(`a server that returns ${refusal.httpStatus} for a streaming list is listed in pages from then on`, async () => {
    const healthy: Step[] = [{ at: 265_000, end: 'cleanly' }];
    const { clock, asked, finish } = start(
      [refusal, page('5', []), failure('Expired', 410), page('9', []), healthy, []],
      streams,
    );
    await clock.advance(266_000);
    assert.deepEqual(asked, ['0 stream', '0 list', '0 watch 5', '0.8 list', '0.8 watch 9', '265.8 watch 9']);
    await finish();
  });

for (const [name, end] of [
  ['breaks off', failure('Unreachable')],
  ['ends without its mark', 'cleanly'],
  ['expires', failure('Expired', 410)],
] as const)
  test(`a streaming list that ${name} reports nothing, and is replaced by pages`, async () => {
    const { clock, asked, told, finish } = start(
      [
        [
          { at: 0, line: applied('a', '1') },
          { at: 0, end },
        ],
        failure('Unreachable'),
        page('5', ['b']),
        failure('Expired', 410),
        [{ at: 0, line: endOfList('9') }],
      ],
      streams,
    );
    await clock.advance(20_000);
    assert.deepEqual(asked, ['0 stream', '0.8 list', '2.4 list', '2.4 watch 5', '5.6 stream']);
    assert.deepEqual(told, ['restarted b', 'restarted ']);
    await finish();
  });

test('a watch that breaks after its streaming list goes on from its last version', async () => {
  const { clock, asked, told, finish } = start(
    [
      [
        { at: 0, line: endOfList('5') },
        { at: 1000, line: applied('a', '6') },
        { at: 2000, end: failure('IdleTimeout') },
      ],
      [{ at: 0, line: applied('b', '7') }],
    ],
    streams,
  );
  await clock.advance(5000);
  assert.deepEqual(asked, ['0 stream', '2.8 watch 6']);
  assert.deepEqual(told, ['restarted ', 'applied a 6', 'applied b 7']);
  await finish();
});
