/** What the commands say about a connection that the egress policy refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandEgress, operatorEgress } from '../../src/commands/egress.ts';
import { createEgressPolicy, EgressRefused, type EgressRules } from '../../src/http/egress.ts';

const settings = { sourceAllow: [], sourceDeny: ['10.0.0.0/8'] };

function refusalOf(rules: EgressRules, host: string): string {
  try {
    createEgressPolicy(rules).checkHost(host);
  } catch (error) {
    assert(error instanceof EgressRefused);
    return error.message;
  }
  assert.fail(`${host} is allowed`);
}

test('a refusal by the operator names the flag and the chart value that allow the host', () => {
  const message = refusalOf(operatorEgress(settings, 'https://192.0.2.1:6443'), '127.0.0.1');
  assert.match(message, /--source-allow=127\.0\.0\.1 \(chart value settings\.sourceAllow\)$/);
});

test('a refusal by a rule that denies names the flag and the chart value of that rule', () => {
  const message = refusalOf(operatorEgress(settings, 'https://192.0.2.1:6443'), '10.1.2.3');
  assert.match(message, /--source-deny \(chart value settings\.sourceDeny\)/);
});

test('the operator refuses the API server of its cluster as a source', () => {
  assert.match(refusalOf(operatorEgress(settings, 'https://192.0.2.1:6443'), '192.0.2.1'), /API server/);
});

test('a refusal by the transfer command names the flag and no chart value', () => {
  const message = refusalOf(commandEgress(settings), '127.0.0.1');
  assert.match(message, /--source-allow=127\.0\.0\.1$/);
});
