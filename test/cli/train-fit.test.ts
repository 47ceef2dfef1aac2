/** Fine-tuning by one command: weights of other classes and another size, `--on-mismatch fit`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { dit } from '../../models/dit.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { writeSafetensors, type TensorToWrite } from '../../runtime/checkpoint/safetensors-write.ts';
import { MemorySource } from '../../runtime/checkpoint/source.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT } from './cli.ts';
import { writeStripes } from './linear-denoiser.ts';

/** SMALL_DIT (8², 5 classes, one block) as it was on other data: 16², 9 classes. */
const former = dit({
  inputSize: 16,
  patchSize: 4,
  inChannels: 1,
  hiddenSize: 16,
  depth: 1,
  numHeads: 2,
  numClasses: 9,
});
const TABLE = 'y_embedder.embedding_table.weight';
const train = [
  'train',
  'small.ts',
  '--data',
  'stripes.safetensors',
  '--batch',
  '4',
  '--sample-every',
  '0',
  '--weights',
  'former.safetensors',
];

let cwd: string;
beforeAll(async () => {
  cwd = scratchFolder()({ 'small.ts': SMALL_DIT });
  await writeStripes(join(cwd, 'stripes.safetensors'), 20, (i) => i % 5, 8);
  const { params } = traceEntry(former, 'forward', { batch: 1 });
  const tensors = params.map(({ node: { attrs, type } }): TensorToWrite => {
    const values = Float32Array.from({ length: type.shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.fround(i / 1e4));
    return { name: String(attrs.name), dtype: 'f32', shape: [...type.shape], chunks: () => [values] };
  });
  const parts: Uint8Array[] = [];
  await writeSafetensors(async (bytes) => void parts.push(bytes.slice()), tensors);
  writeFileSync(join(cwd, 'former.safetensors'), Buffer.concat(parts));
});

it('refuses weights of another model, unless asked to take what fits', async () => {
  const { code, err } = await ditc([...train, '--steps', '1', '--out', 'refused'], cwd);
  expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining('does not fit the model') });
});

it('begins with the rows that tables share, resampled positions, and all else as it was', async () => {
  const { code, err } = await ditc(
    [...train, '--steps', '1', '--lr', '0', '--on-mismatch', 'fit', '--out', 'run'],
    cwd,
  );
  expect({ code, err }).toMatchObject({ code: 0 });
  expect(err).toContain('pos_embed: resampled from a grid of 4×4 to 2×2');
  expect(err).toContain(`${TABLE}: the first 5 rows and the last are kept, of 10 in the file and 6 in the model`);
  const read = async (path: string) => openSafetensors(new MemorySource(path, readFileSync(join(cwd, path))));
  const [theirs, ours] = [await read('former.safetensors'), await read('run/weights.safetensors')];
  for (const name of ours.tensors.keys()) {
    if (name === 'pos_embed') continue;
    const values = [...(await theirs.readF32(name))];
    const kept = name === TABLE ? [...values.slice(0, 5 * 16), ...values.slice(9 * 16)] : values;
    expect([...(await ours.readF32(name))], name).toEqual(kept);
  }
});
