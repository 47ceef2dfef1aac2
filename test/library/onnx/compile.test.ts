/**
 * `compile` of `ditc/compiler` on networks in ONNX files.
 * @once
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { compile } from '../../../library/compiler.ts';
import { openSafetensors } from '../../../runtime/checkpoint/safetensors.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';
import { scratchFolder } from '../../compiler/frontend/scratch.ts';
import { ROOT } from '../../helpers/imports.ts';

const folder = scratchFolder();

async function written(name: string): Promise<string> {
  const bytes = readFileSync(join(ROOT, `test/golden/data/onnx/${name}.safetensors`));
  const file = await openSafetensors(new MemorySource(name, bytes));
  const path = join(folder({ 'none.ts': '' }), `${name}.onnx`);
  writeFileSync(path, Uint8Array.from(await file.readF32('model')));
  return path;
}

it('takes open sizes by their names', async () => {
  const path = await written('inception');
  const { manifest } = await compile(path, { batch: 2, options: { height: 40, width: 31 } });
  expect(manifest.entries.forward.inputs).toMatchObject([{ name: 'x', shape: [2, 3, 40, 31] }]);
  expect(manifest.model).toBe('inception');
  await expect(compile(path, { options: { height: 40 } })).rejects.toThrow(/its input x leaves width open/);
});

it('names parameters as the file does, and places by its nodes', async () => {
  const { manifest } = await compile(await written('resnet'), { batch: 1 });
  expect(manifest.params.map(({ name }) => name)).toContain('fc.weight');
  const places = manifest.entries.forward.dispatches.flatMap(({ source }) => source);
  expect(places).toContain('resnet.onnx: MaxPool node_max_pool2d');
});
