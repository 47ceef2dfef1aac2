/**
 * What `ditc train` says of its steps as it goes: each line of the step that it names.
 * @once
 */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readMetrics } from '../../cli/metrics.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc } from './cli.ts';
import { LINEAR, writeStripes } from './linear-denoiser.ts';

it('a checkpoint and the end tell the loss of their own step, whatever was logged', async () => {
  const cwd = scratchFolder()({ 'linear.ts': LINEAR });
  await writeStripes(join(cwd, 'x.safetensors'));
  const train = (steps: number, every: number, out: string) =>
    ditc(['train', 'linear.ts', '--data', 'x.safetensors', '--batch', '4', '--steps', String(steps), '--checkpoint-every', '3', '--log-every', String(every), '--out', out], cwd); // prettier-ignore
  const [seldom, always] = [await train(8, 2, 'seldom'), await train(8, 1, 'always')];
  const losses = readMetrics(join(cwd, 'always', 'metrics.jsonl')).map(({ loss }) => loss!.toPrecision(4));
  for (const { err, out, code } of [seldom, always]) {
    expect(code, err).toBe(0);
    const told = [...err.matchAll(/^step (\d+) {2}loss (\S+)/gm)].map(([, step, loss]) => [Number(step), loss]);
    expect(told).toEqual([3, 6, 8].map((step) => [step, losses[step - 1]]));
    expect(out).toContain(`8 steps · loss ${losses[7]} · `);
  }
  expect((await train(1, 1, 'one')).out).toContain('  1 step · loss ');
});
