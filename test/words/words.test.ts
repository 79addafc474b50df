/** The check of words finds what it is for, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clauseSubjects } from './clauses.ts';
import { findingsIn } from './find.ts';
import { problemOfName } from './names.ts';
import { textsOf } from './texts.ts';

function found(file: string, content: string): string[] {
  return findingsIn(file, content).map(({ line, rule }) => `${line} ${rule}`);
}

test('a word is found in comments, strings and templates, but not in code', () => {
  const source = [
    'const answer = tell(news);',
    '// The server is told.',
    "log('no answer came', `" + '$' + "{mend(answer, 'a deed done')} was mended`);",
    "type Kind = 'answer' | 'refused';",
    'const pattern = /we shall "see/;',
    'const half = total / 2; // anew',
  ].join('\n');
  assert.deepEqual(found('a.ts', source), ['2 tell', '3 answer', '3 deed', '3 mend', '6 anew']);
});

test('a phrase is found across the lines of a comment', () => {
  assert.deepEqual(found('a.ts', '/**\n * Object that must be\n * gone by then.\n */'), ['2 be gone']);
});

test('code blocks, inline code and link targets of a page are no prose', () => {
  const page = 'A `refused` call.\n\n```sh\necho answer\n```\n\nSee [it](answer.md). The answer is late.\n';
  assert.deepEqual(found('a.md', page), ['7 answer']);
});

test('a text keeps the offsets of its file', () => {
  const source = ["test('a name with words', () => `one $", "{two('three four')} five`);"].join('');
  for (const { start, text } of textsOf('a.ts', source)) {
    assert.equal(source.slice(start + 1, start + 4), text.slice(1, 4));
  }
});

test('ordinary uses of the same words pass', () => {
  const source = [
    '// In other words: the connection was refused, by means of a reset.',
    '// Means that a second look like this one is taken in turn.',
    '// It uses reserved words and 20 lines.',
  ].join('\n');
  assert.deepEqual(found('a.ts', source), []);
});

test('a clause as subject is found, a noun phrase and a question are not', () => {
  const subjects = (text: string) => clauseSubjects(text).map(({ match }) => match);
  assert.deepEqual(subjects('What is declared is compared.'), ['What is declared is compared']);
  assert.deepEqual(subjects('It ends here; whoever waits goes on.'), ['whoever waits goes on']);
  assert.deepEqual(subjects('What the operator last saw and did.'), []);
  assert.deepEqual(subjects('What a watch is about. It checks what is stored.'), []);
  assert.deepEqual(subjects('What is it that is stored?'), []);
  assert.deepEqual(subjects('# Data\n\nWhat was sent is kept. What Glance holds is right.'), [
    'What was sent is kept',
    'What Glance holds is right',
  ]);
});

test('a test name needs a subject, a verb and four words', () => {
  for (const name of [
    'is refused at once by the server',
    'that is empty stays empty',
    'a wrong password',
    'one that is lost is sent again',
    'when the server stops reading',
    'the quota of the project',
  ]) {
    assert.notEqual(problemOfName(name), undefined, name);
  }
  for (const name of [
    'a waiting key moves to its flow once the flow is known',
    'suspend keeps Ready until the spec changes',
    'without a Secret, the operator waits',
    '$' + '{name}: accepted',
  ]) {
    assert.equal(problemOfName(name.replace(/\$\{\w+\}/, 'X')), undefined, name);
  }
});

test('a name of a test is checked, a name of a describe is not', () => {
  assert.deepEqual(found('a.ts', "describe('an empty one', () => test('is left as it was', run));"), ['1 test name']);
});
