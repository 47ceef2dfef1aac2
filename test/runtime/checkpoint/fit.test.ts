/** What of a checkpoint fits another model: rows that tables share, positions at another resolution, and what begins anew. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { declare } from '../../../compiler/emit/declare.ts';
import { dit, type DiTConfig } from '../../../models/dit.ts';
import { fitParameters } from '../../../runtime/checkpoint/fit.ts';
import { resampleGrid } from '../../../runtime/checkpoint/grid.ts';
import { openCheckpointFile } from '../../../runtime/node/checkpoint.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { readGolden } from '../../models/golden.ts';
import { failure } from './support.ts';

const DATA = join(import.meta.dirname, '../../golden/data/checkpoints');
const { config } = await readGolden('checkpoints/forward');
const { values: grid } = await readGolden('checkpoints/grid');
const file = await openCheckpointFile(join(DATA, 'official.pt'));

/** Parameters of the golden model with other sizes, and what the golden checkpoint has for them; 7 where it has nothing. */
async function fit(other: Partial<DiTConfig>, from = file) {
  const model = dit({ ...(config as Partial<DiTConfig>), ...other });
  const params = declare(traceEntry(model, 'forward', { batch: 1 }).params, new Map(), model).map((spec) => {
    return { ...spec, computed: spec.init.kind === 'file' };
  });
  const { found, notes } = fitParameters(from, params);
  const values: Record<string, Float32Array> = {};
  for (const [i, { name, shape }] of params.entries()) {
    const one = found[i];
    const own = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(7);
    values[name] = !one
      ? own
      : one.read
        ? await one.read(own)
        : await file.readF32(one.info.name.replace('module.', ''));
  }
  return { values, notes: notes.join('\n') };
}

const TABLE = 'y_embedder.embedding_table.weight';
const rows = (values: ArrayLike<number>, ...numbers: number[]) =>
  numbers.flatMap((row) => Array.from({ length: 8 }, (_, i) => values[8 * row + i]));
const fresh = Array.from({ length: 8 }, () => 7);

it('a larger table keeps all classes, and the null class as its last row', async () => {
  const theirs = await file.readF32(TABLE);
  const { values, notes } = await fit({ numClasses: 5 });
  expect([...values[TABLE]]).toEqual([...rows(theirs, 0, 1, 2), ...fresh, ...fresh, ...rows(theirs, 3)]);
  expect(notes).toContain(`${TABLE}: the first 3 rows and the last are kept, of 4 in the file and 6 in the model`);
  expect(notes).toContain('31 of 32 parameters are taken as they are');
});

it('a smaller table keeps the first classes, and the null class', async () => {
  const theirs = await file.readF32(TABLE);
  const { values } = await fit({ numClasses: 2 });
  expect([...values[TABLE]]).toEqual(rows(theirs, 0, 1, 3));
});

it.each([3, 6, 16])('a grid of 4×4 becomes %i×%i as PyTorch resamples it', (side) => {
  const made = resampleGrid(Float32Array.from(grid['input.grid']), 4, side, 8);
  expect(relativeError(made, grid[`output.${side}`])).toBeLessThan(1e-6);
});

it('positions are resampled where the grid changes', async () => {
  const { values, notes } = await fit({ inputSize: 12 });
  expect([...values.pos_embed]).toEqual([...resampleGrid(await file.readF32('pos_embed'), 4, 6, 8)]);
  expect(notes).toContain('pos_embed: resampled from a grid of 4×4 to 6×6');
});

it('what has no counterpart begins anew, and is named', async () => {
  const { values, notes } = await fit({ depth: 3, learnSigma: false });
  expect(new Set(values['blocks.2.mlp.fc1.weight'])).toEqual(new Set([7]));
  expect(notes).toContain('blocks.2.attn.qkv.weight: the file lacks it');
  expect(notes).toContain('final_layer.linear.weight: the model has [16, 8], the file [32, 8]');
});

it('fewer blocks take the first ones; the others are named', async () => {
  const { notes } = await fit({ depth: 1 });
  expect(notes).toMatch(/10 of the file are not used:\n\s+blocks\.1\./);
});

it('a checkpoint of another family is refused, as it would be without', async () => {
  const error = await failure(() => fit({ hiddenSize: 16 }));
  expect(error).toMatchObject({ code: 'mismatch', what: 'the checkpoint does not fit the model' });
});

it('behind the prefix of a wrapper each is named once', async () => {
  const behind = [...file.tensors.values()].map((info) => [`module.${info.name}`, info] as const);
  const tensors = new Map(behind.map(([name, info]) => [name, { ...info, name }]));
  const { notes } = await fit(
    { learnSigma: false },
    Object.create(file, { tensors: { value: tensors } }) as typeof file,
  );
  expect(notes.match(/final_layer\.linear\.weight/g)).toHaveLength(1);
  expect(notes).not.toContain('not used');
});
