import { test } from 'node:test';
import { useScene } from './real.ts';
import { transferWithBreaks } from './resume.ts';

const scene = useScene();

test('a source of 64 MiB that breaks ten times results in one PUT with every byte', async () => {
  await transferWithBreaks(scene(), { size: 64 * 2 ** 20, breaks: 10, seed: 'resume', transferMs: 120_000 });
});
