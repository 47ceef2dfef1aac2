/**
 * What `ditc build` writes is what `ditc inspect` and `ditc run` read, packs of merged weights included.
 * @once
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { encodeNpy, parseNpy } from '../../runtime/checkpoint/npy.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { ditc } from './cli.ts';

const MODEL = `import { dit } from 'ditc/models/dit';
export default dit({ inputSize: 4, hiddenSize: 24, depth: 2, numHeads: 3, numClasses: 5, block: 'cross-attention' });
`;

const folder = scratchFolder();

it('a built model with packed weights runs as the model file does', async () => {
  const cwd = folder({ 'small.ts': MODEL });
  const save = (name: string, shape: number[], values: number[]) =>
    writeFileSync(join(cwd, name), encodeNpy({ dtype: 'f32', shape, data: Float32Array.from(values) }));
  save(
    'x.npy',
    [1, 4, 4, 4],
    Array.from({ length: 64 }, (_, i) => Math.sin(i)),
  );
  save('t.npy', [1], [300]);
  writeFileSync(join(cwd, 'y.npy'), encodeNpy({ dtype: 'i32', shape: [1], data: Int32Array.of(3) }));
  const inputs = ['x', 't', 'y'].flatMap((name) => ['--input', `${name}=${name}.npy`]);
  expect(await ditc(['build', 'small.ts', '--out', 'built', '--device', 'here'], cwd)).toMatchObject({ code: 0 });
  const manifest = JSON.parse(readFileSync(join(cwd, 'built/manifest.json'), 'utf8')) as { packs: unknown[] };
  expect(manifest.packs.length).toBeGreaterThan(0);
  expect(await ditc(['inspect', 'built'], cwd)).toMatchObject({ code: 0 });
  for (const [source, out] of [
    ['small.ts', 'a'],
    ['built', 'b'],
  ]) {
    const run = await ditc(['run', source, '--entry', 'forward', ...inputs, '--seed', '4', '--out', out], cwd);
    expect(run, run.err).toMatchObject({ code: 0 });
  }
  const [a, b] = ['a', 'b'].map((out) => parseNpy(readFileSync(join(cwd, out, 'out.npy')), out).data as Float32Array);
  expect(relativeError(a, b)).toBeLessThan(1e-5);
});
