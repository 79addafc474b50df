import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { blocksOf, commandsOf } from './pages.ts';
import { assertShown } from './shown.ts';

const table = `NAME     READY   REASON   SIZE   AGE   IMAGE ID
cirros   True    Ready    21Mi   9s    7692c2b8-27a5-590a-a79f-a615feb2aec1
`;
const holds = (real: string, shown: string) => {
  try {
    assertShown(real, shown, 'page.md:1');
    return true;
  } catch {
    return false;
  }
};

describe('what a page shows as output', () => {
  test('shown output matches output with other ids, ages and column widths', () => {
    const later = table.replace('7692c2b8', '00000000').replace('9s', '1m12s').replaceAll('   ', '     ');
    assert.ok(holds(later, table));
  });

  test('shown output does not match another word or number, or an extra or missing line', () => {
    assert.ok(!holds(table.replace('True ', 'False'), table));
    assert.ok(!holds(table.replace('21Mi', '20Mi'), table));
    assert.ok(!holds(`${table}other\n`, table));
    assert.ok(!holds(table.split('\n')[0] ?? '', table));
  });

  test('shown output may contain an ellipsis', () => {
    assert.ok(holds('the digest is abc, declared is def', '… declared is def'));
    assert.ok(!holds('the digest is abc, declared is xyz', '… declared is def'));
  });
});

describe('the blocks of a page', () => {
  test('blocks are found with heading and language, and lose the indentation of their fence', () => {
    const page = '# A\n\n- x:\n\n  ```yaml\n  a:\n    b: 1\n  ```\n\n## B\n\n~~~sh\nls\n~~~\n';
    assert.deepEqual(
      blocksOf('p.md', page).map(({ at, language, text, heading }) => [at, language, text, heading]),
      [
        ['p.md:5', 'yaml', 'a:\n  b: 1\n', 'A'],
        ['p.md:12', 'sh', 'ls\n', 'B'],
      ],
    );
  });

  test('a block that is never closed is an error', () => {
    assert.throws(() => blocksOf('p.md', '```sh\nls\n'), /p\.md:1: the block is never closed/);
  });

  test('a console block contains commands and their output', () => {
    const [block] = blocksOf('p.md', '```console\n$ ls a\na\n$ pwd\n/\n```\n');
    assert.ok(block);
    assert.equal(commandsOf(block), 'ls a\npwd\n');
  });
});
