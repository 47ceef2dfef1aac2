/** `ditc eval` by networks that torch.onnx wrote (test/golden/make_onnx.py), and what is said of files that are none. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeNpy, parseNpy } from '../../runtime/checkpoint/npy.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { MemorySource, type TensorFile } from '../../runtime/checkpoint/source.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { ditc } from './cli.ts';

const DATA = join(import.meta.dirname, '../golden/data/onnx');
const folder = scratchFolder();

const golden = (name: string): Promise<TensorFile> =>
  openSafetensors(new MemorySource(name, readFileSync(join(DATA, `${name}.safetensors`))));
const bytesOf = async (name: string): Promise<Uint8Array> =>
  Uint8Array.from(await (await golden(name)).readF32('model'));

/** The bytes with the first `from` replaced by `to`, of the same length. */
function replaced(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const at = Buffer.from(bytes).indexOf(from);
  expect(at).toBeGreaterThan(0);
  return Uint8Array.from([...bytes.subarray(0, at), ...Buffer.from(to), ...bytes.subarray(at + from.length)]);
}

describe('eval by an ONNX network', () => {
  let cwd: string;
  let fid: number;
  beforeAll(async () => {
    cwd = folder({ 'mean.ts': '' });
    for (const name of ['inception', 'resnet', 'decoder'])
      writeFileSync(join(cwd, `${name}.onnx`), await bytesOf(name));
    const sets = await golden('evaluation');
    [fid] = await sets.readF32('fid');
    for (const name of ['samples', 'reference']) {
      const { shape } = sets.tensors.get(name)!;
      const data = Uint8Array.from(await sets.readF32(name));
      writeFileSync(join(cwd, `${name}.npy`), encodeNpy({ dtype: 'u8', shape, data }));
    }
  });

  const sets = ['samples.npy', 'reference.npy'];
  const measured = async (...args: string[]) => {
    const { code, out, err } = await ditc(['eval', ...args, '--json'], cwd);
    expect({ code, err: err.replace(/^note:.*\n/gm, '') }).toEqual({ code: 0, err: '' });
    return JSON.parse(out) as Record<string, number>;
  };

  it('gives the distance that NumPy gives by PyTorch’s features, whatever the batch', async () => {
    const got = await measured(...sets, '--features', 'inception.onnx', '--batch', '7');
    expect(Math.abs(got.fid / fid - 1)).toBeLessThan(1e-5);
    expect(got.inceptionScore).toBeGreaterThan(1);
    const other = await measured(...sets, '--features', 'inception.onnx', '--batch', '16');
    expect(Math.abs(got.fid / other.fid - 1)).toBeLessThan(1e-6);
  });

  it('takes values within the network by their names, and scales pictures to the size that it takes', async () => {
    const output = (name: string) => ['--features', 'resnet.onnx', '--output', name, '--pixels', 'imagenet'];
    const { fid: mean, sfid } = await measured(
      ...sets,
      ...output('pool=hardswish_1'),
      '--output',
      'spatial=hardswish_1',
    );
    expect(mean).toBeGreaterThan(0);
    expect(sfid).toBeGreaterThan(0);
    // By one name, it is the features.
    expect(await measured(...sets, ...output('hardswish_1'))).toMatchObject({ fid: mean });
    expect(await measured('samples.npy', 'samples.npy', ...output('logits'))).toMatchObject({ fid: 0 });
  });

  it.each([
    [['inception.onnx', '--output', 'logit'], /inception\.onnx.*no node computes logit.*did you mean logits/s],
    [['inception.onnx', '--output', 'pool=pool', '--output', 'pool'], /--output names pool twice/],
    [['decoder.onnx'], /decoder\.onnx.*its outputs are picture, line.*--output pool=NAME/s],
    [['decoder.onnx', '--output', 'picture'], /decoder\.onnx.*does not take pictures.*x \[2,6,3,4\].*\[N,3,H,W\]/s],
    [['missing.onnx'], /missing\.onnx.*no such file/s],
    [['resnet.onnx', '--pixels', '0,2'], /--pixels is 0,2.*0,255 0,1/s],
    [['mean.ts', '--pixels', '0,1'], /--pixels is for ONNX networks/],
    [['mean.ts', '--output', 'pool'], /--output is for ONNX networks/],
    [['text.onnx'], /text\.onnx.*no ONNX file, or damaged.*at byte/s],
    [['cut.onnx'], /cut\.onnx.*no ONNX file, or damaged.*bytes are announced/s],
    [['unknown.onnx'], /unknown\.onnx: Rexu .*the op Rexu is not known.*docs\/onnx\.md/s],
    [['newer.onnx'], /newer\.onnx.*ops are of version 99.*opset_version/s],
  ] as [string[], RegExp][])('%j is refused', async ([features, ...args], message) => {
    const bytes = await bytesOf('inception');
    writeFileSync(join(cwd, 'text.onnx'), 'This is a text of no network at all.');
    writeFileSync(join(cwd, 'cut.onnx'), bytes.subarray(0, 9000));
    // Field 4 of a node, four letters.
    writeFileSync(join(cwd, 'unknown.onnx'), replaced(bytes, '\x22\x04Relu', '\x22\x04Rexu'));
    // Field 8, the set of ops, with its version in field 2: the file's end.
    const end = bytes.length;
    expect([...bytes.subarray(end - 2)]).toEqual([0x10, 17]);
    writeFileSync(join(cwd, 'newer.onnx'), bytes.with(end - 1, 99));
    const before = readdirSync(cwd).sort();
    const { code, err } = await ditc(['eval', ...sets, '--features', features, ...args], cwd);
    expect(err).toMatch(message);
    expect(code).toBeGreaterThan(0);
    expect(readdirSync(cwd).sort()).toEqual(before);
  });
});

it('runs for the sizes that it is given, where the file leaves them open', async () => {
  const cwd = folder({ 'none.ts': '' });
  writeFileSync(join(cwd, 'inception.onnx'), await bytesOf('inception'));
  const file = await golden('inception');
  const { shape } = file.tensors.get('input.x')!;
  writeFileSync(join(cwd, 'x.npy'), encodeNpy({ dtype: 'f32', shape, data: await file.readF32('input.x') }));
  const { code } = await ditc(['run', 'inception.onnx', '--entry', 'forward', '--input', 'x=x.npy', '--out', 'o'], cwd);
  expect(code).toBe(0);
  const pool = parseNpy(readFileSync(join(cwd, 'o', 'pool.npy')), 'pool');
  expect(relativeError(pool.data as Float32Array, await file.readF32('output.pool'))).toBeLessThan(1e-5);
  const built = await ditc(['build', 'inception.onnx', '--out', 'b'], cwd);
  expect(built).toMatchObject({ code: 1 });
  expect(built.err).toMatch(/inception\.onnx.*its input x leaves height open.*\[batch,3,height,width\]/s);
});

it('runs and builds a network as any model, with its weights', async () => {
  const cwd = folder({ 'none.ts': '' });
  writeFileSync(join(cwd, 'vit.onnx'), await bytesOf('vit'));
  const vit = await golden('vit');
  const { shape } = vit.tensors.get('input.x')!;
  writeFileSync(join(cwd, 'x.npy'), encodeNpy({ dtype: 'f32', shape, data: await vit.readF32('input.x') }));
  const run = (...model: string[]) => ditc(['run', ...model, '--entry', 'forward', '--input', 'x=x.npy'], cwd);
  const first = await run('vit.onnx', '--out', 'a');
  expect(first).toMatchObject({ code: 0 });
  expect(first.err).not.toMatch(/random/);
  expect((await ditc(['build', 'vit.onnx', '--batch', '2', '--device', 'here', '--out', 'built'], cwd)).code).toBe(0);
  expect((await run('built', '--weights', 'vit.onnx', '--out', 'b')).code).toBe(0);
  expect(readFileSync(join(cwd, 'b', 'pool.npy'))).toEqual(readFileSync(join(cwd, 'a', 'pool.npy')));
  expect((await ditc(['convert', 'vit.onnx', 'vit.safetensors'], cwd)).code).toBe(0);
  expect((await run('vit.onnx', '--batch', '2', '--weights', 'vit.safetensors', '--out', 'c')).code).toBe(0);
  expect(readFileSync(join(cwd, 'c', 'pool.npy'))).toEqual(readFileSync(join(cwd, 'a', 'pool.npy')));
});
