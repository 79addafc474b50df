/**
 * What a transfer costs, against the bound and against rivals on the same servers in the same run. The bound is `curl | curl`, which
 * neither hashes nor looks at anything. A codec is held against `curl | <its fastest tool> | curl`, a source that limits each connection
 * against the slower of `aria2c` and `curl -T`, each alone. CASES names the cases to measure (raw, tls, limited, parallel, codecs; default:
 * all), ROUNDS how often.
 */
import { fork, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { build } from 'esbuild';
import { z } from 'zod';
import type { TransferPlan } from '../src/transfer/plan.ts';
import { makeCertificates } from '../test/env/certificates.ts';
import { type Content, digestOf, generated, pieces } from '../test/env/content.ts';
import { startStack } from '../test/env/stack.ts';
import { readStages } from '../test/release/root.ts';
import { planOf } from '../test/transfer/plans.ts';
import { type Figures, median, spread } from './figures.ts';
import { startOrc } from './orc.ts';
import type { Task } from './transfer-process.ts';

const mib = 2 ** 20;
const gib = 2 ** 30;
/** Of those whose figures are published, and of the slow codecs. */
const rounds = Number(process.env['ROUNDS'] ?? 5);
const cases = process.env['CASES']?.split(',');
const isWanted = (name: string) => cases?.includes(name) ?? true;
const codecRounds = 3;
/** What packs the disk, what unpacks it, and how much of it is packed. */
const codecs = [
  { pack: 'gzip -c', unpack: 'unpigz -c', name: 'gz', bytes: gib / 2 },
  { pack: 'zstd -c', unpack: 'zstd -dc', name: 'zst', bytes: gib / 2 },
  { pack: 'pzstd -c', unpack: 'pzstd -dc', name: 'frames.zst', bytes: gib / 2 },
  { pack: 'xz -c -3 -T0', unpack: 'xz -dc -T0', name: 'xz', bytes: gib / 8 },
  { pack: 'bzip2 -c', unpack: 'lbzip2 -dc', name: 'bz2', bytes: gib / 8 },
];

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const toolOf = (command: string) => command.split(' ', 1)[0] ?? '';
const isThere = (command: string) => spawnSync('sh', ['-c', `command -v ${toolOf(command)}`]).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-bench-'));

async function write(name: string, content: Content): Promise<void> {
  await pipeline(Readable.from(pieces(content, 0, content.size, mib)), createWriteStream(join(folder, name)));
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

/** Seconds. */
async function shell(command: string): Promise<number> {
  const start = performance.now();
  const child = spawn('bash', ['-c', `set -o pipefail; ${command}`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${toolOf(command)} ended with ${code}`);
  return (performance.now() - start) / 1000;
}

/** What ships is bundled, and starts in the environment of its image. */
async function buildProcess(): Promise<Record<string, string>> {
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
    legalComments: 'none',
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['@napi-rs/lzma', 'openpgp'],
    banner: { js: 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);' },
    outdir: folder,
    logLevel: 'error',
  });
  return (await readStages()).at(-1)?.env ?? {};
}

const stack = await startStack({ quotas: false });
const certificates = await makeCertificates();
const server = fork(new URL('./file-server.ts', import.meta.url), [folder], {
  env: { ...process.env, CERT: certificates.good.cert, KEY: certificates.good.key },
});
try {
  const [message] = await once(server, 'message');
  const { plain, secure } = z.object({ plain: z.string(), secure: z.string() }).parse(message);
  const project = await stack.openstack.createProject();
  const token = await project.token();
  const access = { cloud: { cloudsYaml: await project.cloudsYaml() }, source: { ca: certificates.ca } };
  const environment = await buildProcess();
  const authorities = join(folder, 'authorities.pem');
  writeFileSync(authorities, certificates.ca);
  await using orc = await startOrc(stack, project, authorities);

  const newImage = async () => (await project.createImage()).id;
  const remove = (ids: string[]) => Promise.all(ids.map((id) => project.image('DELETE', `/v2/images/${id}`)));

  /** Seconds that a command takes which has an upload to Glance as its end, for so many at once. */
  async function uploaded(command: (upload: string) => string, count = 1): Promise<number> {
    const ids = await Promise.all(Array.from({ length: count }, newImage));
    const headers = `-H 'x-auth-token: ${token}' -H 'content-type: application/octet-stream'`;
    const upload = (id: string) => `curl -sSf -o /dev/null ${headers} ${stack.openstack.imageUrl}/v2/images/${id}/file`;
    const start = performance.now();
    await Promise.all(ids.map((id) => shell(command(upload(id)))));
    const seconds = (performance.now() - start) / 1000;
    await remove(ids);
    return seconds;
  }

  const planFor = async (url: string, digest?: string) =>
    planOf({
      ...{ imageID: await newImage(), url, address: stack.openstack.imageUrl },
      ...(digest === undefined ? {} : { digest }),
    });

  /** A process for all rounds of a case, as ORC has one. Its first transfer is small, and not measured. */
  async function startTransfers() {
    const child = spawn(process.execPath, [join(folder, 'process.js')], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...environment },
    });
    const figuresOf = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const tell = (message: Task | TransferPlan[]) => void child.stdin.write(`${JSON.stringify(message)}\n`);
    const first = await planFor(`${plain}/small.raw`);
    tell({ access, first });
    return {
      async run(url: string, digest: string, count = 1): Promise<Figures> {
        const plans = await Promise.all(Array.from({ length: count }, () => planFor(url, digest)));
        tell(plans);
        const figures: Figures = JSON.parse((await figuresOf.next()).value ?? '');
        await remove(plans.map(({ imageID }) => imageID));
        return figures;
      },
      async [Symbol.asyncDispose]() {
        const exit = once(child, 'exit');
        child.stdin.end();
        await exit;
        await remove([first.imageID]);
      },
    };
  }

  const costs = (all: readonly Omit<Figures, 'loopDelayP99Ms'>[], bytes: number) => [
    `${spread(all.map(({ seconds }) => seconds))} s`,
    `CPU s/GiB ${spread(all.map(({ cpuSeconds }) => cpuSeconds / (bytes / gib)))}`,
    `peak RSS ${Math.max(...all.map((each) => each.peakRssMiB)).toFixed(0)} MiB`,
  ];

  /** Runs the bound, the operator and ORC in turn, so that none has an advantage. */
  async function compare(what: string, url: string, digest: string, bytes: number, count: number): Promise<void> {
    const bound: number[] = [];
    const ours: Figures[] = [];
    const theirs: Omit<Figures, 'loopDelayP99Ms'>[] = [];
    await using transfers = await startTransfers();
    for (let round = 0; round < rounds; round++) {
      bound.push(await uploaded((upload) => `curl -sSf --cacert ${authorities} ${url} | ${upload} -T -`, count));
      ours.push(await transfers.run(url, digest, count));
      if (orc !== undefined) theirs.push(await orc.run(url, digest.replace('sha512:', ''), count));
    }
    const ratio = median(bound) / median(ours.map(({ seconds }) => seconds));
    const delay = Math.max(...ours.map(({ loopDelayP99Ms }) => loopDelayP99Ms)).toFixed(1);
    const all = bytes * count;
    say(
      `${what}: ${costs(ours, all).join('; ')}; p99 delay of the main loop ${delay} ms; ${ratio.toFixed(2)} of the rate of \`curl | curl\`, which takes ${spread(bound)} s`,
    );
    say(
      orc === undefined
        ? `${what} by ORC: it was not built (\`node test/env/setup.mjs --rivals\`)`
        : `${what} by ORC ${orc.version}: ${costs(theirs, all).join('; ')}`,
    );
  }

  async function compareCodec({ pack, unpack, name, bytes }: (typeof codecs)[number]): Promise<void> {
    const missing = [pack, unpack].map(toolOf).filter((tool) => !isThere(tool));
    if (missing.length > 0) return say(`${name}: ${missing.join(' and ')} is not on this machine`);
    await shell(`${pack} < ${join(folder, 'disk')} > ${join(folder, `disk.${name}`)}`);
    const url = `${plain}/disk.${name}`;
    const digest = `sha512:${createHash('sha512')
      .update(readFileSync(join(folder, `disk.${name}`)))
      .digest('hex')}`;
    const bound: number[] = [];
    const ours: Figures[] = [];
    await using transfers = await startTransfers();
    for (let round = 0; round < codecRounds; round++) {
      bound.push(await uploaded((upload) => `curl -sSf ${url} | ${unpack} | ${upload} -T -`));
      ours.push(await transfers.run(url, digest));
    }
    const ratio = median(bound) / median(ours.map(({ seconds }) => seconds));
    const what = `${bytes / mib} MiB from \`${pack}\``;
    say(
      `${what}: ${costs(ours, bytes).join('; ')}; ${ratio.toFixed(2)} of the rate of \`curl | ${unpack} | curl\`, which takes ${spread(bound)} s`,
    );
  }

  async function compareLimited(file: string, digest: string, bytes: number): Promise<void> {
    if (!isThere('aria2c')) return say('a source that limits each connection: aria2c is not on this machine');
    const url = `${plain}/limited/${file}`;
    const download: number[] = [];
    const upload: number[] = [];
    const ours: Figures[] = [];
    const secured: Figures[] = [];
    await using transfers = await startTransfers();
    await using secureTransfers = await startTransfers();
    for (let round = 0; round < rounds; round++) {
      const quiet = '-q --allow-overwrite=true --file-allocation=none';
      download.push(await shell(`aria2c ${quiet} -x8 -s8 -k1M -d ${folder} -o downloaded ${url}`));
      upload.push(await uploaded((glance) => `${glance} -T ${join(folder, 'downloaded')}`));
      ours.push(await transfers.run(url, digest));
      secured.push(await secureTransfers.run(`${secure}/limited/${file}`, digest));
    }
    const bound = Math.max(median(download), median(upload));
    const ratioOf = (figures: readonly Figures[]) => (bound / median(figures.map(({ seconds }) => seconds))).toFixed(2);
    const what = `${bytes / mib} MiB from a source that sends 20 MB/s to each connection, after 80 ms`;
    say(
      `${what}: ${costs(ours, bytes).join('; ')}; ${ratioOf(ours)} of the rate of the slower of \`aria2c -x8\` alone, ${spread(download)} s, and \`curl -T\` alone, ${spread(upload)} s`,
    );
    say(`${what}, over TLS: ${costs(secured, bytes).join('; ')}; ${ratioOf(secured)} of that rate`);
  }

  if (!isThere('curl')) {
    say('there is no curl on this machine, and so no bound: nothing is measured');
  } else {
    say(`sha512 alone: CPU s/GiB ${spread(Array.from({ length: rounds }, hashSeconds))}`);
    await write('small.raw', generated(mib));
    const [large, small] = [generated(gib), generated(gib / 2)];
    const digests = [large, small].map((content) => `sha512:${digestOf(content, 'sha512')}`);
    const [ofLarge = '', ofSmall = ''] = digests;
    await write('large.raw', large);
    if (isWanted('raw')) await compare('1 GiB raw', `${plain}/large.raw`, ofLarge, gib, 1);
    if (isWanted('tls')) await compare('1 GiB raw over TLS', `${secure}/large.raw`, ofLarge, gib, 1);
    if (isWanted('limited')) await compareLimited('large.raw', ofLarge, gib);
    rmSync(join(folder, 'large.raw'));
    await write('small-disk.raw', small);
    if (isWanted('parallel')) await compare('4 × 512 MiB raw at once', `${plain}/small-disk.raw`, ofSmall, gib / 2, 4);
    for (const codec of isWanted('codecs') ? codecs : []) {
      await write('disk', disk(codec.bytes));
      await compareCodec(codec);
    }
  }
} finally {
  server.disconnect();
  rmSync(folder, { recursive: true });
  await stack.stop();
}
