/**
 * What `ditc run --input` takes, against what NumPy made (make_inputs.py): any type that holds what the entry takes.
 * @once
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { inputValues, readNpy } from '../../cli/npy.ts';
import type { InputSpec } from '../../compiler/emit/artefact.ts';
import { encodeNpy, parseNpy } from '../../runtime/checkpoint/npy.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc } from './cli.ts';

type DType = InputSpec['dtype'];
interface Case {
  readonly array: string;
  readonly shape: number[];
  readonly fits?: Partial<Record<DType, (number | string)[]>>;
  readonly dtype?: DType;
  readonly fix?: string;
  readonly fixed?: number[];
}

const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url));
const ARCHIVE = join(FIXTURES, 'inputs.npz');
const cases = JSON.parse(readFileSync(join(FIXTURES, 'inputs.json'), 'utf8')) as Case[];
const read = async (array: string, spec: Omit<InputSpec, 'name'>) =>
  inputValues({ name: 'x', ...spec }, await readNpy(ARCHIVE, array), ARCHIVE, 1);

describe('an array of NumPy', () => {
  it.each(cases.filter(({ fits }) => fits))(
    '$array is every input that can hold it',
    async ({ array, shape, fits }) => {
      for (const [dtype, held] of Object.entries(fits!))
        expect([...(await read(array, { dtype: dtype as DType, shape }))]).toEqual(held.map(Number));
    },
  );

  it.each(cases.filter(({ fix }) => fix))(
    '$array fits after the advice $fix',
    async ({ array, shape, dtype, ...want }) => {
      const spec = { dtype: dtype!, shape };
      await expect(read(array, spec)).rejects.toThrow(want.fix);
      expect([...(await read(`${array}_fixed`, spec))]).toEqual(want.fixed);
    },
  );

  const refused: [string, InputSpec['dtype'], ArrayLike<number>, RegExp][] = [
    ['a value beyond u32', 'u32', Float64Array.of(0, 2 ** 32), /element \[1\] is 4294967296, which u32 cannot hold/],
    ['a value below 0', 'u32', Int16Array.of(0, -1), /element \[1\] is -1, which u32.*from 0 to 4294967295/],
    ['a value beyond i32', 'i32', Uint32Array.of(1, 2 ** 31), /element \[1\] is 2147483648, which i32 cannot hold/],
    ['two as a bool', 'bool', Uint8Array.of(1, 2), /element \[1\] is 2, which bool cannot hold.*from 0 to 1/],
    ['NaN as a whole number', 'i32', Float32Array.of(0, NaN), /element \[1\] is NaN, which i32 cannot hold/],
    ['2^24 + 1 as f32', 'f32', Int32Array.of(0, 2 ** 24 + 1), /element \[1\] is 16777217, which f32 cannot hold/],
    ['1e300 as f32', 'f32', Float64Array.of(0, 1e300), /element \[1\] is 1e\+300, which f32 cannot hold/],
    ['65520 as f16', 'f16', Float32Array.of(0, 65520), /element \[1\] is 65520, which f16 cannot hold/],
    ['2049 as f16', 'f16', Uint16Array.of(0, 2049), /element \[1\] is 2049, which f16 cannot hold/],
  ];
  it.each(refused)('%s is refused, with its place and value', (_name, dtype, data, message) => {
    const types = { Float64Array: 'f64', Float32Array: 'f32', Int32Array: 'i32', Uint32Array: 'u32' } as const;
    const more = { Int16Array: 'i16', Uint16Array: 'u16', Uint8Array: 'u8' } as const;
    const held = { ...types, ...more }[data.constructor.name as keyof typeof types];
    const array = { dtype: held, shape: [2], data: data as Float32Array };
    expect(() => inputValues({ name: 'x', dtype, shape: [2] }, array, 'x.npy', 1)).toThrow(message);
  });
});

const MODEL = `import { constant, defineModel, normal } from 'ditc/dsl';
export default defineModel({ config: {}, entries: {
  plain(e) { return { rows: e.params.param('table', [5, 2], normal(1)).gather(e.input('index', [e.batch], 'i32')) }; },
  clamped(e) {
    const index = e.input('any', [3], 'i32').maximum(constant(0, [], 'i32')).minimum(constant(4, [], 'i32'));
    return { rows: e.params.param('table', [5, 2], normal(1)).gather(index) };
  },
} });
`;

describe('an index', () => {
  let cwd: string;
  const save = (name: string, values: number[]) =>
    writeFileSync(join(cwd, name), encodeNpy({ dtype: 'u32', shape: [values.length], data: Uint32Array.from(values) }));
  beforeAll(() => (cwd = scratchFolder()({ 'rows.ts': MODEL })));

  it('beyond its table is refused with its place, value and table', async () => {
    save('index.npy', [0, 4, 5]);
    const args = ['run', 'rows.ts', '--entry', 'plain', '--batch', '3', '--input', 'index=index.npy', '--out', 'out'];
    const { code, err } = await ditc(args, cwd);
    expect(code).toBe(1);
    expect(err).toContain('index.npy');
    expect(err).toMatch(/element \[2\] of index is 5/);
    expect(err).toMatch(/0 to 4 are there/);
  });

  it('that the model clamps may be anything', async () => {
    save('any.npy', [0, 4, 99]);
    const args = ['run', 'rows.ts', '--entry', 'clamped', '--input', 'any=any.npy', '--out', 'out'];
    expect(await ditc(args, cwd)).toMatchObject({ code: 0 });
    const { data } = parseNpy(readFileSync(join(cwd, 'out', 'rows.npy')), 'rows');
    expect([...(data as Float32Array)].slice(4)).toEqual([...(data as Float32Array)].slice(2, 4));
  });
});
