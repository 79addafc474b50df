/**
 * The cost of decompression against the command line tools on the same files in the same run.
 *
 * Invariant: results are CPU seconds per GiB of output, and their ratio, so that they are comparable between machines.
 */
import { execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decompress } from '../src/source/decompress/index.ts';
import { compressions, compressors, mixed } from '../test/source/decompress/files.ts';

const gib = 2 ** 30;
const rounds = 5;
const limits = { maxBytes: gib, maxRatio: 1000, maxDictionaryBytes: 2 ** 27 };
/** A quarter of it is noise, a quarter zeros, the rest text and runs. */
const data = mixed(2 ** 26);

const say = (text: string) => process.stdout.write(`${text}\n`);

async function ours(file: string): Promise<number> {
  const before = process.cpuUsage();
  let bytes = 0;
  const { body } = decompress(createReadStream(file), { mode: 'Auto', url: 'http://bench/', limits });
  for await (const chunk of body) bytes += chunk.length;
  const { user, system } = process.cpuUsage(before);
  if (bytes !== data.length) throw new Error(`${file}: ${bytes} bytes came out`);
  return (user + system) / 1e6;
}

/** The second line of `times` is what children took: `0m1.23s 0m0.04s`. */
function theirs(command: string, file: string): number {
  const times = execFileSync('sh', ['-c', `${command} "$0" > /dev/null; times`, file], { encoding: 'utf8' });
  const seconds = [...(times.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  return seconds.reduce((sum, [, minutes, rest]) => sum + Number(minutes) * 60 + Number(rest), 0);
}

const folder = await mkdtemp(join(tmpdir(), 'bench-'));
try {
  for (const name of compressions) {
    const file = join(folder, name);
    await writeFile(file, compressors[name](data));
    const costs = { ours: Number.POSITIVE_INFINITY, theirs: Number.POSITIVE_INFINITY };
    for (let round = 0; round < rounds; round++) {
      costs.ours = Math.min(costs.ours, await ours(file));
      costs.theirs = Math.min(costs.theirs, theirs(`${name} -dc`, file));
    }
    const perGib = (cpu: number) => ((cpu * gib) / data.length).toFixed(1);
    const ratio = (costs.ours / costs.theirs).toFixed(2);
    say(`${name}: ${perGib(costs.ours)} CPU s/GiB, ${name} -dc ${perGib(costs.theirs)}, ${ratio} of the bound`);
  }
  say(
    `RSS: ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB at most, of which ${data.length / 2 ** 20} are the data`,
  );
} finally {
  await rm(folder, { recursive: true });
}
