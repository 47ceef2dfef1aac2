/** Fine-tuning of low-rank steps: what is written, merged, resumed and drawn from. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { openCheckpointFile } from '../../runtime/node/checkpoint.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT } from './cli.ts';
import { writeStripes } from './linear-denoiser.ts';

const train = [
  'train',
  'small.ts',
  '--data',
  'stripes.safetensors',
  '--batch',
  '4',
  '--sample-every',
  '0',
  '--lr',
  '1e-2',
];
const LORA = ['--weights', 'base/weights.safetensors', '--train', 'blocks.*.attn', '--lora', '2', '--ema', '0.5,0'];
const LAYERS = ['blocks.0.attn.qkv', 'blocks.0.attn.proj'];

let cwd: string;
const run = async (...args: string[]) => {
  const { code, err } = await ditc(args, cwd);
  expect({ code, err }).toMatchObject({ code: 0 });
  return err;
};
async function read(path: string): Promise<Map<string, Float32Array>> {
  const file = await openCheckpointFile(join(cwd, path));
  const values = new Map<string, Float32Array>();
  for (const name of file.tensors.keys()) values.set(name, await file.readF32(name));
  await file.close();
  return values;
}

beforeAll(async () => {
  cwd = scratchFolder()({ 'small.ts': SMALL_DIT });
  await writeStripes(join(cwd, 'stripes.safetensors'), 20, (i) => i % 5, 8);
  await run(...train, '--steps', '2', '--out', 'base');
  await run(...train, ...LORA, '--steps', '6', '--checkpoint-every', '3', '--out', 'tuned');
});

it('leaves all but the chosen matrices as they were, and those are the old ones and B·A', async () => {
  const [base, tuned, adapter] = await Promise.all(
    ['base/weights.safetensors', 'tuned/weights.safetensors', 'tuned/adapter.safetensors'].map(read),
  );
  expect([...adapter.keys()].sort()).toEqual(
    LAYERS.flatMap((layer) => ['A', 'B'].map((part) => `${layer}.lora_${part}.weight`)).sort(),
  );
  const changed = [...tuned]
    .filter(([name, values]) => String(values) !== String(base.get(name)))
    .map(([name]) => name);
  expect(changed.sort()).toEqual(LAYERS.map((layer) => `${layer}.weight`).sort());
  for (const layer of LAYERS) {
    const [a, b] = ['A', 'B'].map((part) => adapter.get(`${layer}.lora_${part}.weight`)!);
    const width = a.length / 2;
    base.get(`${layer}.weight`)!.forEach((w, at) => {
      const [row, column] = [Math.floor(at / width), at % width];
      const wanted = w + a[column] * b[2 * row] + a[width + column] * b[2 * row + 1];
      expect(tuned.get(`${layer}.weight`)![at]).toBeCloseTo(wanted, 6);
    });
  }
});

it('merges an adapter into weights, and says what does not go together', async () => {
  await run('convert', 'base/weights.safetensors', 'merged.safetensors', '--lora', 'tuned/adapter.safetensors');
  const [merged, tuned] = [await read('merged.safetensors'), await read('tuned/weights.safetensors')];
  for (const [name, values] of tuned) expect([...merged.get(name)!], name).toEqual([...values]);
  await run(
    'convert',
    'base/weights.safetensors',
    'none.safetensors',
    '--lora',
    'tuned/adapter.safetensors',
    '--lora-scale',
    '0',
  );
  expect(await read('none.safetensors')).toEqual(await read('base/weights.safetensors'));
  const { code, err } = await ditc(
    ['convert', 'tuned/adapter.safetensors', 'x.safetensors', '--lora', 'tuned/adapter.safetensors'],
    cwd,
  );
  expect(code).toBe(1);
  expect(err).toMatch(/the adapter does not fit the weights\s+"blocks\.0\.attn\.qkv\.lora_A\.weight" is of a layer/);
});

it('refuses an adapter of more than steps: what would be left out is part of it', async () => {
  const more = ['convert', 'base/weights.safetensors', 'x.safetensors', '--lora', 'merged.safetensors'];
  const { code, err } = await ditc(more, cwd);
  expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining('which is no part of a step B·A') });
});

it('draws the same from a checkpoint as from the weights', async () => {
  const sample = (weights: string, out: string) =>
    run('sample', 'small.ts', '--weights', weights, '--classes', '0-4', '--steps', '2', '--out', out);
  await sample('tuned/weights.safetensors', 'a.npy');
  const note = await sample('tuned/checkpoints/0000006.safetensors', 'b.npy');
  expect(note).toContain('the moving average (EMA) of the weights are taken');
  expect(readFileSync(join(cwd, 'a.npy'))).toEqual(readFileSync(join(cwd, 'b.npy')));
});

it('writes each average that was asked for: one that keeps nothing is the weights themselves', async () => {
  await run('convert', 'tuned/checkpoints/0000006.safetensors', 'model.safetensors', '--part', 'model');
  await run('convert', 'tuned/checkpoints/0000006.safetensors', 'ema-0.safetensors', '--part', 'ema-0');
  const [model, last] = [await read('model.safetensors'), await read('tuned/weights-ema-0.safetensors')];
  expect(await read('ema-0.safetensors')).toEqual(model);
  for (const [name, values] of last) expect([...values], name).toEqual([...model.get(name)!]);
  expect(last).not.toEqual(await read('tuned/weights.safetensors'));
  const { code, err } = await ditc(
    ['convert', 'tuned/checkpoints/0000006.safetensors', 'x.pt', '--part', 'ema-0.9'],
    cwd,
  );
  expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining('it holds no moving average ema-0.9') });
});

it('goes on bit by bit', async () => {
  await run(...train, ...LORA, '--steps', '3', '--out', 'parts');
  await run(...train, '--steps', '6', '--resume', 'latest', '--out', 'parts');
  expect(await read('parts/adapter.safetensors')).toEqual(await read('tuned/adapter.safetensors'));
});

it('says which names there are for a pattern that is none', async () => {
  const { code, err } = await ditc([...train, '--steps', '1', '--train', 'blocks.*.mpl', '--out', 'no'], cwd);
  expect(code).toBe(1);
  expect(err).toMatch(/no parameter is called blocks\.\*\.mpl[^]*fix: use some of .*blocks\.\*\.mlp\.fc1/);
});

it('refuses a name of no layer at its option, and other steps than a checkpoint has at theirs', async () => {
  const refused = async (...args: string[]) => {
    const { code, err } = await ditc([...train, '--steps', '9', ...args], cwd);
    expect(code).toBeGreaterThan(0);
    return err;
  };
  const typo = await refused('--train', 'blocks.*.atn', '--out', 'typo');
  expect(typo).toMatch(
    /^--train — no parameter is called blocks\.\*\.atn\n {3}fix: use some of .*blocks\.\*\.attn\.qkv/m,
  );
  const resume = ['--resume', 'latest', '--out', 'tuned'];
  expect(await refused(...resume, '--lora', '4')).toMatch(
    /^--lora is 4\n {3}the checkpoint was trained with 2: .*\n {3}fix: leave --lora out/m,
  );
  expect(await refused(...resume, '--train', 'blocks.*')).toContain(
    '--train is blocks.*\n   the checkpoint was trained with blocks.*.attn: ',
  );
  // Checkpoints that know of none.
  await run(...train, '--steps', '2', '--checkpoint-every', '2', '--out', 'whole');
  expect(await refused('--resume', 'latest', '--out', 'whole', '--lora', '2')).toContain(
    'the checkpoint was trained without: ',
  );
});
