/**
 * `npm run bench [-- NAME… [N]]`: measures costs against a bound from the same run.
 *
 * Invariant: results are ratios and counts, so that they are comparable between machines.
 */
const benches: Record<string, () => Promise<unknown>> = {
  operator: async () => (await import('./operator.ts')).operator(sizes),
  scale: async () => (await import('./scale.ts')).scale(sizes),
  transfer: () => import('./transfer.ts'),
  decompress: () => import('./decompress.ts'),
};

const isSize = (text: string) => /^[0-9]+$/.test(text);
const sizes = process.argv.slice(2).filter(isSize).map(Number);
const given = process.argv.slice(2).filter((text) => !isSize(text));
const named = given.length > 0 ? given : ['operator'];
const unknown = named.filter((name) => !Object.hasOwn(benches, name));
if (unknown.length > 0) {
  process.stderr.write(`no bench is called ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}\n`);
  process.exitCode = 2;
} else {
  for (const name of named) await benches[name]?.();
}
