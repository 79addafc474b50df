/**
 * Draws docs/demo.svg from a run of the demo: `node_modules/.bin/node test/demo/picture.ts`, after `npm run setup`.
 *
 * Invariant: it selects lines and changes none.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import { terminalPicture } from './svg.ts';

const root = resolve(import.meta.dirname, '../..');
/** Commands whose output is shown, each under the title that it stands below. */
const shown = [
  /apply -f/,
  /get glanceimages --watch/,
  /get glanceimage tampered/,
  /get events/,
  /get glanceimage ubuntu-24\.04/,
];

function chosen(recording: string): string[] {
  const lines: string[] = [];
  const seen = new Set<RegExp>();
  let title = '';
  let showing = false;
  for (const line of recording.split('\n')) {
    const plain = stripVTControlCharacters(line);
    if (plain.startsWith('── ')) [title, showing] = [line, false];
    else if (plain.startsWith('$ ')) {
      const pattern = shown.find((each) => each.test(plain) && !seen.has(each));
      showing = pattern !== undefined;
      if (pattern === undefined) continue;
      seen.add(pattern);
      if (title !== '') lines.push(...(lines.length === 0 ? [] : ['']), title);
      title = '';
      lines.push(line);
    } else if (/^ {2}apiVersion:/.test(plain) || plain === '') showing = false;
    // A row of which nothing is known yet has a name and an age.
    else if (showing && !/^ *\S+ +\d+[sm]$/.test(plain)) lines.push(line);
  }
  if (seen.size < shown.length) throw new Error('the demo does not show any more what the picture shows');
  return lines;
}

const demo = spawn(process.execPath, [join(import.meta.dirname, 'demo.ts')], {
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { ...process.env, FORCE_COLOR: '1' },
});
const [recording, [code]] = await Promise.all([text(demo.stdout), once(demo, 'exit')]);
if (code !== 0) throw new Error(`the demo ended with ${code}`);
writeFileSync(join(root, 'docs/demo.svg'), terminalPicture('npm run demo', chosen(recording)));
