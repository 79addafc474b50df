/**
 * `npm run bench [-- [--page] NAME… [N]]`: measures costs against a bound from the same run. `--page` writes what was printed, with the
 * machine and the versions, to docs/explanation/benchmarks.md.
 *
 * Invariant: results are ratios and counts, so that they are comparable between machines.
 */
import { type Section, writePage } from './page.ts';

const benches: Record<string, () => Promise<unknown>> = {
  operator: async () => (await import('./operator.ts')).operator(sizes),
  scale: async () => (await import('./scale.ts')).scale(sizes),
  transfer: () => import('./transfer.ts'),
  decompress: () => import('./decompress.ts'),
};

const isSize = (text: string) => /^[0-9]+$/.test(text);
const sizes = process.argv.slice(2).filter(isSize).map(Number);
const isPage = process.argv.includes('--page');
const given = process.argv.slice(2).filter((text) => !isSize(text) && text !== '--page');
const named = given.length > 0 ? given : isPage ? Object.keys(benches) : ['operator'];
const unknown = named.filter((name) => !Object.hasOwn(benches, name));
if (unknown.length > 0) {
  process.stderr.write(`no bench is called ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}\n`);
  process.exitCode = 2;
} else {
  const sections: Section[] = [];
  for (const name of named) sections.push({ name, lines: await printed(() => benches[name]?.()) });
  if (isPage) process.stdout.write(`${writePage(sections)} was written\n`);
}

/** The lines that `work` prints, which are still printed. */
async function printed(work: () => unknown): Promise<string[]> {
  const { write } = process.stdout;
  let text = '';
  process.stdout.write = (chunk: string | Uint8Array) => {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    return write.call(process.stdout, chunk);
  };
  try {
    await work();
  } finally {
    process.stdout.write = write;
  }
  return text.split('\n').filter((line) => line.trim() !== '');
}
