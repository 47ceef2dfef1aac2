/** The model of docs/own-model.md, as it stands there: it trains, and is sampled with what it learnt. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { expect, it, vi } from 'vitest';
import { readMetrics } from '../../cli/metrics.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc } from './cli.ts';
import { writeStripes } from './linear-denoiser.ts';

vi.setConfig({ testTimeout: 300_000 });

const folder = scratchFolder();

it('the model of docs/own-model.md trains and draws', async () => {
  const page = readFileSync(new URL('../../docs/own-model.md', import.meta.url), 'utf8');
  const [, model] = /```ts\n([\s\S]*?)```/.exec(page)!;
  const cwd = folder({ 'own.ts': model });
  await writeStripes(join(cwd, 'x.safetensors'));
  const train = ['train', 'own.ts', '--data', 'x.safetensors', '--steps', '60', '--batch', '5', '--lr', '0.01'];
  const held = ['--val', '0.2', '--val-every', '20'];
  const trained = await ditc([...train, ...held, '--ema', '0.9', '--log-every', '1', '--out', 'runs'], cwd);
  expect(trained.code, trained.err).toBe(0);
  const metrics = readMetrics(join(cwd, 'runs', 'metrics.jsonl'));
  const losses = metrics.map(({ loss }) => Number(loss));
  const vals = metrics.flatMap(({ val }) => val ?? []);
  expect(vals).toHaveLength(3);
  expect(vals[2]).toBeLessThan(vals[0]);
  const mean = (of: number[]) => of.reduce((a, b) => a + b) / of.length;
  expect(losses).toHaveLength(60);
  expect(mean(losses.slice(-20))).toBeLessThan(mean(losses.slice(0, 10)));

  const sample = ['sample', 'own.ts', '--weights', 'runs/weights.safetensors', '--classes', '0-2', '--steps', '4'];
  const drawn = await ditc([...sample, '--out', 'own.png'], cwd);
  expect(drawn.code, drawn.err).toBe(0);
  expect(PNG.sync.read(readFileSync(join(cwd, 'own.png'))).width).toBeGreaterThanOrEqual(3 * 4);
});

it.each(['flow: {}, ', ''])(
  'a network of one’s own is sampled by flow matching, or without it by DDPM (%s)',
  async (flow) => {
    const page = readFileSync(new URL('../../docs/own-model.md', import.meta.url), 'utf8');
    const [, , [, model]] = [...page.matchAll(/```(?:ts|sh)\n([\s\S]*?)```/g)];
    expect(model).toContain('flow: {}, ');
    const velocity = `import type { Scope, Tensor } from 'ditc/dsl';
export const velocity = (p: Scope, x: Tensor, t: Tensor, y: Tensor): Tensor =>
  x.mul(p.param('w', [4, 4])).add(t.add(y.cast('f32')).reshape(x.shape[0], 1, 1, 1));
`;
    const cwd = folder({ 'own.ts': model.replace('flow: {}, ', flow), 'velocity.ts': velocity });
    const built = await ditc(['build', 'own.ts', '--entry', 'sampleStep', '--no-report', '--out', 'built'], cwd);
    expect(built.code, built.err).toBe(0);
  },
);
