/** Messages of the commands about a connection that the egress policy blocks. */
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

test('a host blocked by the operator is reported with the flag and chart value that allow it', () => {
  const message = refusalOf(operatorEgress(settings, 'https://192.0.2.1:6443'), '127.0.0.1');
  assert.match(message, /--source-allow=127\.0\.0\.1 \(chart value settings\.sourceAllow\)$/);
});

test('a host blocked by a deny rule is reported with the flag and chart value of the rule', () => {
  const message = refusalOf(operatorEgress(settings, 'https://192.0.2.1:6443'), '10.1.2.3');
  assert.match(message, /--source-deny \(chart value settings\.sourceDeny\)/);
});

test('the operator rejects the API server of its cluster as a source', () => {
  assert.match(refusalOf(operatorEgress(settings, 'https://192.0.2.1:6443'), '192.0.2.1'), /API server/);
});

test('a host blocked by the transfer command is reported with the flag and no chart value', () => {
  const message = refusalOf(commandEgress(settings), '127.0.0.1');
  assert.match(message, /--source-allow=127\.0\.0\.1$/);
});
