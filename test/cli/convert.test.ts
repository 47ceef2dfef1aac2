/**
 * `ditc convert`: between all forms and back, bit by bit; what is refused leaves nothing behind.
 * @once
 */
import {
  cpSync,
  existsSync,
  ftruncateSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeNpy } from '../../runtime/checkpoint/npy.ts';
import { encodeValues } from '../../runtime/checkpoint/encode.ts';
import { writeSafetensors, type TensorToWrite } from '../../runtime/checkpoint/safetensors-write.ts';
import { openCheckpointFile } from '../../runtime/node/checkpoint.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, spawnDitc } from './cli.ts';

const DATA = join(import.meta.dirname, '../golden/data/checkpoints');
/** The model of the goldens. */
const MODEL = `import { dit } from 'ditc/models/dit';
export default dit({ inputSize: 8, patchSize: 2, inChannels: 4, hiddenSize: 8, depth: 2, numHeads: 2, numClasses: 3 });
`;
const OTHER = MODEL.replace('hiddenSize: 8', 'hiddenSize: 16');

/** Every tensor's type, shape and bytes. */
async function contentOf(path: string): Promise<Record<string, string>> {
  const file = await openCheckpointFile(path);
  try {
    const content: Record<string, string> = {};
    for (const { name, dtype, shape } of file.tensors.values()) {
      const chunks: Uint8Array[] = [];
      for await (const bytes of file.readRaw(name)) chunks.push(bytes);
      content[name] = `${dtype} [${shape.join()}] ${Buffer.concat(chunks).toString('base64')}`;
    }
    return content;
  } finally {
    await file.close();
  }
}

let cwd: string;
const convert = (...args: string[]) => ditc(['convert', ...args], cwd);
const converted = async (from: string, to: string, ...more: string[]) => {
  const { code, err, out } = await convert(from, to, ...more);
  expect({ code, err }).toMatchObject({ code: 0 });
  return { err, out };
};
const layout = ['--model', 'small.ts', '--to', 'diffusers'];
const model = ['--model', 'small.ts'];

beforeAll(() => {
  cwd = scratchFolder()({ 'small.ts': MODEL, 'other.ts': OTHER });
  cpSync(DATA, join(cwd, 'golden'), { recursive: true });
});

describe('tensors pass bit by bit', () => {
  const ways: [from: string, ...through: (readonly string[])[]][] = [
    ['official.pt', ['a1.safetensors'], ['a2.pt']],
    ['official.safetensors', ['b1.pt'], ['b2.safetensors']],
    ['legacy.pt', ['c1.pt'], ['c2', ...layout], ['c3.safetensors', ...model]],
    ['strided.pt', ['d1.safetensors']],
    ['wrapped.pt', ['e1.safetensors', ...model]],
    ['diffusers', ['f1.pt', ...model], ['f2', ...layout], ['f3.safetensors', ...model]],
    ['diffusers-sharded', ['g1.safetensors', ...model], ['g2.safetensors', ...layout], ['g3.pt', ...model]],
    ['float8.safetensors', ['h1.pt', ...model]],
  ];
  it.each(ways)('%s', async (from, ...through) => {
    const official = await contentOf(join(DATA, 'official.safetensors'));
    let path = `golden/${from}`;
    for (const [to, ...more] of through) {
      await converted(path, to, ...more);
      path = to;
    }
    expect(await contentOf(join(cwd, path))).toEqual(official);
  });

  it('a folder of diffusers is the one that diffusers writes', async () => {
    await converted('golden/official.pt', 'written', ...layout);
    expect(await contentOf(join(cwd, 'written'))).toEqual(await contentOf(join(DATA, 'diffusers')));
    const config = (folder: string) =>
      JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
    const theirs = config(join(DATA, 'diffusers'));
    for (const [key, value] of Object.entries(config(join(cwd, 'written'))))
      expect([key, value]).toEqual([key, key === 'norm_eps' ? 1e-6 : theirs[key]]);
    expect(readdirSync(join(cwd, 'written')).sort()).toEqual(['config.json', 'diffusion_pytorch_model.safetensors']);
  });

  it('in several files with an index, which diffusers’ and Hugging Face’s tools read, and back', async () => {
    const official = await contentOf(join(DATA, 'official.safetensors'));
    const { out } = await converted('golden/official.pt', 'parts.safetensors', '--shard-size', '4kB');
    const names = readdirSync(cwd).filter((name) => name.startsWith('parts')).sort(); // prettier-ignore
    const shards = names.filter((name) => !name.endsWith('.json'));
    expect(names).toEqual([...shards, 'parts.safetensors.index.json'].sort());
    expect(shards[0]).toBe(`parts-00001-of-${String(shards.length).padStart(5, '0')}.safetensors`);
    expect(out).toContain(`in ${shards.length} files`);
    const index = JSON.parse(readFileSync(join(cwd, 'parts.safetensors.index.json'), 'utf8')) as {
      metadata: { total_size: number };
      weight_map: Record<string, string>;
    };
    expect(Object.keys(index.weight_map).sort()).toEqual(Object.keys(official).sort());
    const bytes = Object.values(official).map((content) => Buffer.from(content.split(' ')[2], 'base64').length);
    expect(index.metadata.total_size).toBe(bytes.reduce((a, b) => a + b));
    const sizes = await Promise.all(
      shards.map(async (name) => {
        const contents = Object.values(await contentOf(join(cwd, name)));
        const held = contents.map((content) => Buffer.from(content.split(' ')[2], 'base64').length);
        return held.length > 1 ? held.reduce((a, b) => a + b) : 0;
      }),
    );
    for (const size of sizes) expect(size).toBeLessThanOrEqual(4000);
    await converted('parts.safetensors.index.json', 'parts.pt');
    expect(await contentOf(join(cwd, 'parts.pt'))).toEqual(official);
    await converted('golden/official.pt', 'folder', ...layout, '--shard-size', '8kB');
    expect(readdirSync(join(cwd, 'folder'))).toContain('diffusion_pytorch_model.safetensors.index.json');
    await converted('folder', 'whole.safetensors', ...model, '--shard-size', '1GB');
    expect(await contentOf(join(cwd, 'whole.safetensors'))).toEqual(official);
    // What is being read is not written over, whichever of the files it is.
    const same = await convert('parts.safetensors.index.json', 'parts.safetensors', '--shard-size', '4kB');
    expect(same).toMatchObject({ code: 2, err: expect.stringContaining('IN and OUT are the same file') });
    const pickle = await convert('golden/official.pt', 'no.pt', '--shard-size', '4kB');
    expect(pickle).toMatchObject({ code: 2, err: expect.stringContaining('files of torch.save are whole') });
  });

  it('of every type, NaNs with their payload', async () => {
    const dtypes = ['f64', 'f32', 'f16', 'bf16', 'i64', 'i32', 'i16', 'i8', 'u64', 'u32', 'u16', 'u8'] as const;
    const bytes = Uint8Array.from({ length: 48 }, (_, i) => (i % 8 > 5 ? 0xff : 37 * i));
    const tensors = dtypes.map((dtype): TensorToWrite => {
      const size = encodeValues(
        dtype,
        dtype.startsWith('i64') ? new BigInt64Array(1) : dtype === 'u64' ? new BigUint64Array(1) : new Float32Array(1),
        dtype,
      ).length;
      return { name: dtype, dtype, shape: [48 / size], chunks: () => [bytes] };
    });
    const parts: Uint8Array[] = [];
    await writeSafetensors(async (chunk) => void parts.push(chunk.slice()), tensors);
    writeFileSync(join(cwd, 'types.safetensors'), Buffer.concat(parts));
    await converted('types.safetensors', 'types.pt');
    await converted('types.pt', 'types2.safetensors');
    expect(await contentOf(join(cwd, 'types2.safetensors'))).toEqual(await contentOf(join(cwd, 'types.safetensors')));
  });

  it('storages of a .pt begin at multiples of 64 bytes, as PyTorch maps them', async () => {
    await converted('golden/official.safetensors', 'aligned.pt');
    const bytes = readFileSync(join(cwd, 'aligned.pt'));
    let found = 0;
    for (let at = bytes.indexOf('PK\x03\x04'); at >= 0; at = bytes.indexOf('PK\x03\x04', at + 4)) {
      const [name, extra] = [bytes.readUInt16LE(at + 26), bytes.readUInt16LE(at + 28)];
      expect((at + 30 + name + extra) % 64).toBe(0);
      found++;
    }
    expect(found).toBe(35);
  });
});

it.each(['f16', 'bf16', 'f64'])('--dtype %s casts as PyTorch does, and back what is exact', async (dtype) => {
  const { out } = await converted('golden/official.pt', `${dtype}.safetensors`, '--dtype', dtype);
  expect(out).toContain(`cast  32 tensors f32 → ${dtype}`);
  expect(await contentOf(join(cwd, `${dtype}.safetensors`))).toEqual(
    await contentOf(join(DATA, `${dtype}.safetensors`)),
  );
});

it('reports every tensor that is not as it was', async () => {
  const { out } = await converted('golden/official.pt', 'report', ...layout);
  expect(out).toContain(
    'split     blocks.*.attn.qkv.{weight,bias} → transformer_blocks.*.attn1.{to_q,to_k,to_v}.{weight,bias}',
  );
  expect(out).toContain('left out  pos_embed  (the layout has no place for it)');
  const back = await converted('report', 'report.pt', ...model);
  expect(back.out).toMatch(/joined {4}transformer_blocks.*→ blocks\.\*\.attn\.qkv\.\{weight,bias\} +×4/);
  expect(back.out).toMatch(/folded .*class_embedder.embedding_table.weight → y_embedder.embedding_table.weight/);
  expect(back.out).toContain('computed  pos_embed  (missing: what the model computes is written)');
  const wrapped = await converted('golden/wrapped.pt', 'report.safetensors', ...model, '--json');
  const { changes } = JSON.parse(wrapped.out) as { changes: { action: string; from: string[] }[] };
  expect(changes.filter(({ action }) => action === 'renamed')).toHaveLength(32);
  expect(changes.at(-1)).toEqual({ action: 'extra', from: ['module._orig_mod.steps'], to: [] });
});

it.each(['legacy.pt', 'diffusers-sharded', 'wrapped.pt'])(
  '%s runs as it is, as the official file does',
  async (form) => {
    const inputs = { x: [1, 4, 8, 8], t: [1], y: [1] };
    const args = Object.entries(inputs).flatMap(([name, shape]) => {
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) =>
        name === 'x' ? Math.sin(i) : 2,
      );
      writeFileSync(join(cwd, `${name}.npy`), encodeNpy({ dtype: 'f32', shape, data }));
      return ['--input', `${name}=${name}.npy`];
    });
    const run = async (weights: string) => {
      const command = [
        'run',
        'small.ts',
        '--entry',
        'forward',
        ...args,
        '--weights',
        `golden/${weights}`,
        '--out',
        'out',
        '--overwrite',
      ];
      const { code, err } = await ditc(command, cwd);
      expect(code, err).toBe(0);
      return readFileSync(join(cwd, 'out/out.npy'));
    };
    expect((await run(form)).equals(await run('official.safetensors'))).toBe(true);
  },
);

it('takes the weights of a training’s checkpoint, or their average', async () => {
  const parts: Uint8Array[] = [];
  const tensor = (name: string, value: number): TensorToWrite => {
    return { name, dtype: 'f32', shape: [1], chunks: () => [Float32Array.of(value)] };
  };
  const tensors = [tensor('param/w', 1), tensor('state/ema.w', 2), tensor('state/step', 3)];
  await writeSafetensors(async (chunk) => void parts.push(chunk.slice()), tensors, { 'ditc.training': '{}' });
  writeFileSync(join(cwd, 'training.safetensors'), Buffer.concat(parts));
  for (const [part, value] of [
    ['ema', 2],
    ['model', 1],
  ] as const) {
    await converted('training.safetensors', `${part}.safetensors`, '--part', part);
    const file = await openCheckpointFile(join(cwd, `${part}.safetensors`));
    expect([...file.tensors.keys(), ...(await file.readF32('w')), file.metadata]).toEqual([
      'w',
      value,
      { format: 'pt' },
    ]);
    await file.close();
  }
});

describe('what cannot be converted is told, and nothing is written', () => {
  const cases: [what: string, args: string[], code: number, told: RegExp][] = [
    [
      'a checkpoint of another model',
      ['golden/official.pt', 'x.pt', '--model', 'other.ts'],
      1,
      /does not fit the model.*of the wrong shape/s,
    ],
    ['one of another family', ['golden/forward.safetensors', 'x.pt', ...model], 1, /0 of 32 parameters match/],
    [
      'copies that differ',
      ['golden/apart.safetensors', 'x.pt', ...model],
      1,
      /copies of t_embedder.mlp.0.weight differ.*transformer_blocks.1/s,
    ],
    ['a file that was cut', ['cut.safetensors', 'x.pt'], 1, /lies beyond the end/],
    ['no ending', ['golden/official.pt', 'x'], 2, /its ending says what to write/],
    ['an unknown layout', ['golden/official.pt', 'x', ...model, '--to', 'difusers'], 2, /did you mean diffusers/],
    ['a layout without a model', ['golden/official.pt', 'x', '--to', 'diffusers'], 2, /add --model MODEL.ts/],
    ['a folder that is in use', ['golden/official.pt', 'golden', ...layout], 2, /golden is there/],
    ['the file itself', ['small.pt', './small.pt'], 2, /IN and OUT are the same file/],
    [
      'what f16 cannot hold',
      ['large.safetensors', 'x.pt', '--dtype', 'f16'],
      1,
      /"w" holds 100000, which f16 cannot.*bf16/s,
    ],
    ['a file that is not there', ['nothing.pt', 'x.pt'], 1, /no such file/],
  ];
  it.each(cases)('%s', async (_what, args, code, told) => {
    writeFileSync(join(cwd, 'cut.safetensors'), readFileSync(join(DATA, 'official.safetensors')).subarray(0, 20_000));
    cpSync(join(DATA, 'official.pt'), join(cwd, 'small.pt'));
    const parts: Uint8Array[] = [];
    const large: TensorToWrite = { name: 'w', dtype: 'f32', shape: [2], chunks: () => [Float32Array.of(1, 1e5)] };
    await writeSafetensors(async (chunk) => void parts.push(chunk.slice()), [large]);
    writeFileSync(join(cwd, 'large.safetensors'), Buffer.concat(parts));
    const before = readdirSync(cwd, { recursive: true });
    const result = await convert(...args);
    expect(result.code, result.err).toBe(code);
    expect(result.err).toMatch(told);
    expect(readdirSync(cwd, { recursive: true })).toEqual(before);
  });
});

describe('a large checkpoint', () => {
  const SIZE = 2 ** 29;
  /** Half a gigabyte of zeros in tensors of 64 MiB, which takes no room on the disk. */
  const large = () => {
    const path = join(cwd, 'zeros.safetensors');
    if (existsSync(path)) return path;
    const entries = Array.from({ length: 8 }, (_, i) => {
      const offsets = [i * (SIZE / 8), (i + 1) * (SIZE / 8)];
      return [`w${i}`, { dtype: 'F32', shape: [SIZE / 32], data_offsets: offsets }] as const;
    });
    const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(json.length));
    const file = openSync(path, 'w');
    writeSync(file, Buffer.concat([head, json]));
    ftruncateSync(file, 8 + json.length + SIZE);
    closeSync(file);
    return path;
  };

  it('passes through a fraction of its size in memory', async () => {
    let most = 0;
    const { code, err } = await spawnDitc(['convert', large(), 'zeros.pt'], cwd, (child) => {
      const look = setInterval(() => {
        const status = existsSync(`/proc/${child.pid}/status`) ? readFileSync(`/proc/${child.pid}/status`, 'utf8') : '';
        most = Math.max(most, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024);
      }, 20);
      child.on('close', () => clearInterval(look));
    });
    expect({ code, err }).toMatchObject({ code: 0 });
    expect(most).toBeLessThan(SIZE / 2);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('leaves nothing when it is interrupted by %s', async (signal) => {
    const path = large();
    const before = readdirSync(cwd).sort();
    const isBegun = () => readdirSync(cwd).some((name) => /^\.ditc-.*\.tmp$/.test(name));
    const { code } = await spawnDitc(['convert', path, 'interrupted.pt'], cwd, (child) => {
      const look = setInterval(() => isBegun() && child.kill(signal), 5);
      child.on('close', () => clearInterval(look));
    });
    expect(code).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(readdirSync(cwd).sort()).toEqual(before);
  });
});
