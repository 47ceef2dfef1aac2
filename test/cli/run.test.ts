import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeNpy, parseNpy, type NpyArray } from '../../runtime/checkpoint/npy.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, TINY } from './cli.ts';

const folder = scratchFolder();

const DESCENT = `import { defineModel, gradients, zeros } from 'ditc/dsl';
export default defineModel({ config: {}, entries: { step(e) {
  const w = e.params.param('w', [3], zeros);
  const loss = w.sub(e.input('target', [1, 3]).squeeze(0)).square().sum();
  e.update(w, w.sub(gradients(loss, [w])[0].mul(0.25)));
  const n = e.state('n', [], 'i32');
  e.update(n, n.add(1));
  return { loss };
} } });
`;

describe('run', () => {
  let cwd: string;
  const save = (name: string, array: NpyArray) => writeFileSync(join(cwd, name), encodeNpy(array));
  const load = (name: string) => {
    const { dtype, shape, data } = parseNpy(readFileSync(join(cwd, name)), name);
    return { dtype, shape, data: Array.from<number | bigint>(data) };
  };
  const inputs = (x = 'x', k = 'k', flag = 'flag') =>
    Object.entries({ x, k, flag }).flatMap(([name, file]) => ['--input', `${name}=${file}.npy`]);

  beforeAll(async () => {
    cwd = folder({ 'tiny.ts': TINY });
    save('x.npy', { dtype: 'f64', shape: [1, 3], data: Float64Array.of(1, 2.5, -3) });
    save('k.npy', { dtype: 'i64', shape: [3], data: BigInt64Array.of(2n, -1n, 4n) });
    save('flag.npy', { dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) });
    const chunks: Uint8Array[] = [];
    const tensor = { name: 'w', dtype: 'f32' as const, shape: [3], chunks: () => [Float32Array.of(10, 100, 1000)] };
    await writeSafetensors(async (bytes) => void chunks.push(bytes), [tensor]);
    writeFileSync(join(cwd, 'w.safetensors'), Buffer.concat(chunks));
    expect(await ditc(['build', 'tiny.ts', '--out', 'built'], cwd)).toMatchObject({ code: 0 });
  });

  it('computes from a model file, converting float64, int64 and bool', async () => {
    const { code, out, err } = await ditc(['run', 'tiny.ts', '--entry', 'scale', ...inputs(), '--out', 'a'], cwd);
    expect(code).toBe(0);
    expect(err).toContain('note: the weights are random');
    expect(out).toContain('a/scaled.npy  f32[1, 3]\n');
    expect(readdirSync(join(cwd, 'a')).sort()).toEqual(['count.npy', 'masked.npy', 'scaled.npy']);
    expect(load('a/scaled.npy')).toEqual({ dtype: 'f32', shape: [1, 3], data: [2, -2.5, -12] });
    expect(load('a/masked.npy').data.map(Math.abs as never)).toEqual([2, 0, 12]);
    expect(load('a/count.npy')).toEqual({ dtype: 'i32', shape: [3], data: [3, 0, 5] });
  });

  it('computes from an artefact, with weights, the results as JSON', async () => {
    const args = [
      'run',
      'built',
      '--entry',
      'scale',
      ...inputs(),
      '--weights',
      'w.safetensors',
      '--out',
      'b',
      '--json',
    ];
    const { code, out, err } = await ditc(args, cwd);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out).outputs[0]).toEqual({ name: 'scaled', shape: [1, 3], dtype: 'f32', file: 'b/scaled.npy' });
    expect(load('b/scaled.npy').data).toEqual([20, -250, -12000]);
  });

  it('writes the states of an entry that has no outputs', async () => {
    expect(await ditc(['run', 'built', '--entry', 'count', '--out', 'c'], cwd)).toMatchObject({ code: 0 });
    expect(load('c/n.npy')).toEqual({ dtype: 'i32', shape: [2], data: [5, 5] });
  });

  it('runs some times in a row, and writes what becomes of the weights', async () => {
    writeFileSync(join(cwd, 'descent.ts'), DESCENT);
    const descend = async (out: string, ...args: string[]) => {
      const ran = await ditc(
        ['run', 'descent.ts', '--entry', 'step', '--input', 'target=x.npy', '--out', out, ...args],
        cwd,
      );
      expect(ran.code, ran.err).toBe(0);
      return ran.out;
    };
    // Half of the way each time, from 0 to 1, 2.5, −3: what is left is a quarter after two runs.
    const out = await descend('e', '--runs', '3');
    expect(load('e/loss.npy').data[0]).toBeCloseTo((1 + 2.5 ** 2 + 9) / 16, 5);
    expect(load('e/n.npy').data).toEqual([3]);
    expect(out).toMatch(/e\/loss\.npy {2}f32\[\] {2}1\.015/);
    expect(out).toContain('e/weights.safetensors  the weights after the last run\n');
    await descend('g', '--weights', 'e/weights.safetensors');
    expect(load('g/loss.npy').data[0]).toBeCloseTo((1 + 2.5 ** 2 + 9) / 64, 5);
  });

  it('writes over nothing that a former run left, unless told', async () => {
    writeFileSync(join(cwd, 'descent.ts'), DESCENT);
    const args = ['run', 'descent.ts', '--entry', 'step', '--input', 'target=x.npy', '--out', 'kept'];
    expect(await ditc(args, cwd)).toMatchObject({ code: 0 });
    const [first, second] = [load('kept/loss.npy').data, await ditc(args, cwd)];
    expect(second).toMatchObject({ code: 2, out: '' });
    expect(second.err).toContain('--out: kept holds loss.npy, n.npy, weights.safetensors already');
    expect(second.err).toContain('fix: give another --out, or replace it with --overwrite');
    expect(load('kept/loss.npy').data).toEqual(first);
    const weights = ['--weights', 'kept/weights.safetensors', '--overwrite'];
    expect(await ditc([...args, ...weights], cwd)).toMatchObject({ code: 0 });
    expect(load('kept/loss.npy').data[0]).toBeCloseTo((first[0] as number) / 4, 5);
  });

  it('writes bytes that Python reads, the same each time', async () => {
    await ditc(['run', 'built', '--entry', 'scale', ...inputs(), '--out', 'd'], cwd);
    expect(readFileSync(join(cwd, 'd/scaled.npy'))).toEqual(readFileSync(join(cwd, 'a/scaled.npy')));
    expect(readFileSync(join(cwd, 'd/scaled.npy')).subarray(0, 6).toString('latin1')).toBe('\x93NUMPY');
  });

  describe('with wrong input', () => {
    beforeAll(() => {
      save('x2.npy', { dtype: 'f32', shape: [2, 3], data: new Float32Array(6) });
      save('x4.npy', { dtype: 'f32', shape: [1, 4], data: new Float32Array(4) });
      save('xi.npy', { dtype: 'i64', shape: [1, 3], data: BigInt64Array.of(1n, 16777217n, 0n) });
      save('kf.npy', { dtype: 'f32', shape: [3], data: Float32Array.of(1, 0.5, 2) });
      save('big.npy', { dtype: 'i64', shape: [3], data: BigInt64Array.of(0n, 2n ** 40n, 0n) });
      save('two.npy', { dtype: 'i32', shape: [3], data: Int32Array.of(0, 2, 1) });
      writeFileSync(join(cwd, 'cut.npy'), readFileSync(join(cwd, 'x.npy')).subarray(0, 140));
    });

    it.each<[string[], number, string[]]>([
      [
        ['--input', 'x=x.npy'],
        2,
        ['scale needs more inputs', '   k i32[3]', '   flag bool[3]', 'fix: add --input k=k.npy --input flag=flag.npy'],
      ],
      [[...inputs(), '--input', 'z=x.npy'], 2, ['scale has no input z', 'x f32[1, 3]']],
      [inputs('x2'), 1, ['x2.npy — it does not fit the input x f32[1, 3]', 'f32[2, 3]', 'fix: run it with --batch 2']],
      [inputs('x4'), 1, ['the file holds f32[1, 4]', 'fix: save an array of shape (1, 3)']],
      [inputs('xi'), 1, ['element [0, 1] is 16777217, which f32 cannot hold']],
      [
        inputs('x', 'kf'),
        1,
        ['kf.npy — it does not fit', 'element [1] is 0.5, which i32 cannot hold', 'numpy.rint(array)'],
      ],
      [inputs('x', 'big'), 1, ['element [1] is 1099511627776, which i32 cannot hold']],
      [inputs('x', 'k', 'two'), 1, ['element [1] is 2', 'from 0 to 1']],
      [inputs('cut'), 1, ['cut.npy — shape and data disagree']],
      [inputs('none'), 1, ['none.npy — cannot open the file', 'no such file']],
      [[...inputs(), '--weights', 'none.pt'], 1, ['none.pt — cannot open the file']],
      [[...inputs(), '--weights', 'x.npy'], 1, ['x.npy — it is not a checkpoint that can be read', 'NumPy array']],
      [[...inputs(), '--batch', '2'], 2, ['--batch is for model files']],
    ])('%j', async (args, code, messages) => {
      const result = await ditc(['run', 'built', '--entry', 'scale', '--out', 'wrong', ...args], cwd);
      expect(result).toMatchObject({ code, out: '' });
      for (const message of messages) expect(result.err).toContain(message);
      expect(existsSync(join(cwd, 'wrong'))).toBe(false);
    });

    it('names tensors that the checkpoint lacks', async () => {
      const other =
        "import m from './tiny.ts';\nexport default { ...m, entries: { f(e) { return { out: e.params.param('v', [2]).add(1) }; } } } as typeof m;\n";
      writeFileSync(join(cwd, 'other.ts'), other);
      const args = ['run', 'other.ts', '--entry', 'f', '--weights', 'w.safetensors', '--out', 'wrong'];
      const { code, err } = await ditc(args, cwd);
      expect(code).toBe(1);
      expect(err).toContain('w.safetensors — the checkpoint does not fit the model');
      expect(err).toContain('v [2]');
      expect(existsSync(join(cwd, 'wrong'))).toBe(false);
    });

    it('refuses an output folder that cannot be', async () => {
      const { code, err } = await ditc(['run', 'built', '--entry', 'count', '--out', 'x.npy/out'], cwd);
      expect(code).toBe(1);
      expect(err).toContain('x.npy/out — cannot write into the folder\n   a part of the path is a file');
    });
  });
});
