import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Calls } from '../../src/glance/client/call.ts';
import { rememberedSchema } from '../../src/glance/client/call.ts';
import { builtInSchema } from '../../src/glance/cloud-schema.ts';
import { GlanceConnectionFailed, GlanceUnavailable, NotAuthorized, NotFound } from '../../src/glance/errors.ts';

const never = () => new AbortController().signal;
const text = JSON.stringify({ properties: { os_new: { type: 'string' } } });

/** A cloud that gives these responses in order; a function is called, anything else thrown. */
function asked(answers: (Error | 'schema')[]): { call: Calls['call']; count: () => number } {
  let count = 0;
  return {
    count: () => count,
    async call(_request, _signal, read) {
      const answer = answers[count++] ?? assert.fail('too many requests');
      if (answer !== 'schema') throw answer;
      return read({ status: 200, headers: {}, text, requestId: undefined });
    },
  };
}

test('however many calls need the schema at once, and later, it is asked for once', async () => {
  const { call, count } = asked(['schema']);
  const schema = rememberedSchema(call);
  const all = await Promise.all(Array.from({ length: 5 }, () => schema(never())));
  for (const one of [...all, await schema(never())]) assert.ok(one.baseKeys.has('os_new'));
  assert.equal(count(), 1);
});

for (const refusal of [new NotFound('404', { httpStatus: 404 }), new NotAuthorized('403', { httpStatus: 403 })]) {
  test(`a cloud that returns ${refusal.message} is read without a schema, and not requested again`, async () => {
    const { call, count } = asked([refusal]);
    const schema = rememberedSchema(call);
    assert.equal(await schema(never()), builtInSchema);
    assert.equal(await schema(never()), builtInSchema);
    assert.equal(count(), 1);
  });
}

test('while a cloud does not work it is read without it, and asked again', async () => {
  const { call } = asked([new GlanceUnavailable('500', { httpStatus: 500 }), 'schema']);
  const schema = rememberedSchema(call);
  assert.equal(await schema(never()), builtInSchema);
  assert.ok((await schema(never())).baseKeys.has('os_new'));
});

test('an unreachable cloud fails the call as without a schema', async () => {
  const unreachable = new GlanceConnectionFailed('no response', 'GlanceUnreachable', {});
  const { call } = asked([unreachable, 'schema']);
  const schema = rememberedSchema(call);
  await assert.rejects(schema(never()), unreachable);
  assert.ok((await schema(never())).baseKeys.has('os_new'));
});

test('a caller that aborts does not cancel the request of the others', async () => {
  const { call } = asked(['schema']);
  const schema = rememberedSchema(call);
  const controller = new AbortController();
  const reason = new Error('enough');
  const impatient = schema(controller.signal);
  const patient = schema(never());
  controller.abort(reason);
  await assert.rejects(impatient, reason);
  assert.ok((await patient).baseKeys.has('os_new'));
});
