/**
 * What a transfer costs, against the bound: `curl | curl` from the same server to the same Glance in the same run, which neither
 * hashes nor looks at anything. A codec is held against `curl | <its own tool> | curl`.
 */
import { fork, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { build } from 'esbuild';
import { type Content, generated, pieces } from '../test/env/content.ts';
import { startStack } from '../test/env/stack.ts';
import { planOf } from '../test/transfer/plans.ts';
import type { Figures, Task } from './transfer-process.ts';

const mib = 2 ** 20;
const gib = 2 ** 30;
/** Of those whose figures are published, and of the slow codecs. */
const rounds = 5;
const codecRounds = 2;
/** The tool that packs and, with `-dc`, unpacks; and how much of the image it is given. */
const codecs = [
  { tool: 'gzip', bytes: gib / 2 },
  { tool: 'zstd', bytes: gib / 2 },
  { tool: 'xz', bytes: gib / 8 },
  { tool: 'bzip2', bytes: gib / 8 },
];

const say = (line: string) => process.stdout.write(`${line}\n`);
const isThere = (tool: string) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-bench-'));

async function write(name: string, content: Content): Promise<void> {
  await pipeline(Readable.from(pieces(content, 0, content.size, mib)), createWriteStream(join(folder, name)));
}

/** The median, the lowest and the highest. */
function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const [median, lowest, highest] = [sorted[sorted.length >> 1], sorted[0], sorted.at(-1)];
  return `${median?.toFixed(2)} (${lowest?.toFixed(2)} to ${highest?.toFixed(2)})`;
}

/** For a GiB, in pieces as a transfer has them. It is the part of a transfer that no design can save. */
function hashSeconds(): number {
  const piece = Buffer.alloc(64 * 1024, 7);
  const hash = createHash('sha512');
  const before = process.cpuUsage();
  for (let bytes = 0; bytes < gib; bytes += piece.length) hash.update(piece);
  hash.digest();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Half of it zeros, as disks are. */
function disk(size: number): Content {
  const random = generated(size);
  return {
    size,
    slice: (start, end) => ((start / mib) % 2 < 1 ? random.slice(start, end) : Buffer.alloc(end - start)),
  };
}

async function shell(command: string): Promise<void> {
  const child = spawn('bash', ['-c', `set -o pipefail; ${command}`], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${command.split(' ', 1)[0]} ended with ${code}`);
}

/** Bundled as what ships is: Node's own reading of TypeScript takes memory. */
async function buildProcess(): Promise<void> {
  const root = join(import.meta.dirname, '..');
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  await build({
    entryPoints: {
      process: join(import.meta.dirname, 'transfer-process.ts'),
      'transfer-thread': join(root, 'src/transfer/thread-main.ts'),
      'bzip2-thread': join(root, 'src/source/decompress/bzip2-thread.ts'),
    },
    bundle: true,
    minifySyntax: true,
    minifyWhitespace: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['@napi-rs/lzma', 'openpgp'],
    banner: { js: 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);' },
    outdir: folder,
    logLevel: 'error',
  });
}

const stack = await startStack({ quotas: false });
const server = fork(new URL('./file-server.ts', import.meta.url), [folder]);
try {
  const [origin]: string[] = await once(server, 'message');
  const project = await stack.openstack.createProject();
  const token = await project.token();
  const access = { cloud: { cloudsYaml: await project.cloudsYaml() }, source: {} };

  const newImage = async () => (await project.createImage()).id;
  const remove = (ids: string[]) => Promise.all(ids.map((id) => project.image('DELETE', `/v2/images/${id}`)));
  const newPlan = async (file: string) =>
    planOf({ imageID: await newImage(), url: `${origin}/${file}`, address: stack.openstack.imageUrl });

  /** Seconds that the tools take for so many at once. */
  async function bound(file: string, count: number, unpack: string): Promise<number> {
    const ids = await Promise.all(Array.from({ length: count }, newImage));
    const headers = `-H 'x-auth-token: ${token}' -H 'content-type: application/octet-stream'`;
    const one = (id: string) =>
      shell(
        `curl -sSf ${origin}/${file} ${unpack}| curl -sSf -o /dev/null ${headers} -T - ${stack.openstack.imageUrl}/v2/images/${id}/file`,
      );
    const start = performance.now();
    await Promise.all(ids.map(one));
    const seconds = (performance.now() - start) / 1000;
    await remove(ids);
    return seconds;
  }

  async function reached(file: string, count: number): Promise<Figures> {
    const [first, ...plans] = await Promise.all(
      ['small.raw', ...Array.from({ length: count }, () => file)].map(newPlan),
    );
    if (first === undefined) throw new Error('there is nothing to run');
    const task: Task = { access, first, plans };
    const child = spawn(process.execPath, [join(folder, 'process.js')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(JSON.stringify(task));
    const figures: Figures = JSON.parse(await text(child.stdout));
    await remove([first, ...plans].map(({ imageID }) => imageID));
    return figures;
  }

  /**
   * Runs both alternately, so that neither has an advantage. The best round of each counts, because noise only slows.
   */
  async function compare(what: string, file: string, bytes: number, count = 1, unpack = ''): Promise<void> {
    const most = unpack === '' ? rounds : codecRounds;
    let tools = Number.POSITIVE_INFINITY;
    const figures: Figures[] = [];
    for (let round = 0; round < most; round++) {
      tools = Math.min(tools, await bound(file, count, unpack));
      figures.push(await reached(file, count));
    }
    const seconds = Math.min(...figures.map((each) => each.seconds));
    const highest = (value: (each: Figures) => number) => Math.max(...figures.map(value));
    const rate = (bytes * count) / seconds / mib;
    say(
      `${what}: ${rate.toFixed(0)} MiB/s, ${(tools / seconds).toFixed(2)} of the bound; ` +
        `CPU s/GiB ${spread(figures.map((each) => each.cpuSeconds / ((bytes * count) / gib)))}; ` +
        `peak RSS ${highest((each) => each.peakRssMiB).toFixed(0)} MiB; ` +
        `p99 delay of the main loop ${highest((each) => each.loopDelayP99Ms).toFixed(1)} ms`,
    );
  }

  if (!isThere('curl')) {
    say('there is no curl on this machine, and so no bound: nothing is measured');
  } else {
    await buildProcess();
    say(`sha512 alone: CPU s/GiB ${spread(Array.from({ length: rounds }, hashSeconds))}`);
    await write('small.raw', generated(mib));
    await write('2g.raw', generated(2 * gib));
    await compare('2 GiB raw', '2g.raw', 2 * gib);
    rmSync(join(folder, '2g.raw'));
    await write('512m.raw', generated(gib / 2));
    await compare('4 × 512 MiB raw at once', '512m.raw', gib / 2, 4);
    for (const { tool, bytes } of codecs) {
      if (!isThere(tool)) {
        say(`${tool}: it is not on this machine`);
        continue;
      }
      await write('disk', disk(bytes));
      await shell(`${tool} -c < ${join(folder, 'disk')} > ${join(folder, `disk.${tool}`)}`);
      await compare(`${bytes / mib} MiB from ${tool}`, `disk.${tool}`, bytes, 1, `| ${tool} -dc `);
    }
  }
} finally {
  server.disconnect();
  rmSync(folder, { recursive: true });
  await stack.stop();
}
