/** Damaged and malicious checkpoint files: only RuntimeErrors, soon, and with little memory. */
import { describe, expect, it } from 'vitest';
import { RuntimeError } from '../../../runtime/error.ts';
import { openCheckpoint } from '../../../runtime/checkpoint/open.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';
import type { ByteSource } from '../../../runtime/checkpoint/source.ts';
import { unpickle } from '../../../runtime/checkpoint/pickle.ts';
import { loadStorage, TORCH_GLOBALS } from '../../../runtime/checkpoint/torch-pickle.ts';
import { ascii, buildZip64, concat, tensorPickle } from './build.ts';
import type { ZipPart } from './build.ts';
import { failure, fixtureBytes, mutate, random, readAll } from './support.ts';

const SMALL = { count: 6, offset: 0, shape: [2, 3], strides: [3, 1] };
const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const parts = (pickle: Uint8Array, storage: Partial<ZipPart> = {}): ZipPart[] => [
  { name: 'a/data.pkl', bytes: pickle },
  { name: 'a/byteorder', bytes: ascii('little') },
  { name: 'a/data/0', bytes: floats(0, 1, 2, 3, 4, 5), ...storage },
];
const opened = async (source: ByteSource) => readAll(await openCheckpoint(source));
const pt = (tensor: Parameters<typeof tensorPickle>[0], storage?: Partial<ZipPart>) =>
  buildZip64(parts(tensorPickle(tensor), storage));

describe('hand-built archives', () => {
  it('reads the honest one', async () => {
    expect([...(await opened(pt(SMALL))).get('w')!]).toEqual([0, 1, 2, 3, 4, 5]);
    const transposed = pt({ ...SMALL, shape: [3, 2], strides: [1, 3] });
    expect([...(await opened(transposed)).get('w')!]).toEqual([0, 3, 1, 4, 2, 5]);
  });

  it('reads ZIP64 offsets beyond 4 GiB by random access', async () => {
    const source = pt(SMALL, { offset: 11 * 2 ** 30 });
    expect(source.size).toBeGreaterThan(11 * 2 ** 30);
    expect([...(await opened(source)).get('w')!]).toEqual([0, 1, 2, 3, 4, 5]);
    expect(source.bytesRead).toBeLessThan(200_000);
  });

  it('reads an archive without a root folder', async () => {
    const flat = parts(tensorPickle(SMALL)).map((part) => ({ ...part, name: part.name.slice(2) }));
    expect((await opened(buildZip64(flat))).get('w')).toHaveLength(6);
  });

  const cases: [string, ByteSource, RegExp][] = [
    [
      'a storage shorter than its count',
      pt({ ...SMALL, count: 7 }),
      /its storage is too short: 7 elements of f32 take 28 bytes/,
    ],
    ['a view past its storage', pt({ ...SMALL, offset: 1 }), /"w" leaves its storage: offset 1, size \[2,3\]/],
    ['strides past its storage', pt({ ...SMALL, strides: [4, 1] }), /leaves its storage/],
    ['a negative offset', pt({ ...SMALL, offset: -1 }), /offset is an int/],
    ['a negative stride', pt({ ...SMALL, strides: [-3, 1] }), /a tensor's stride is malformed/],
    ['sizes and strides that differ', pt({ ...SMALL, strides: [1] }), /2 sizes and 1 strides/],
    ['a size of 2^52', pt({ ...SMALL, shape: [2 ** 52], strides: [1] }), /leaves its storage/],
    ['a size beyond 2^53', pt({ ...SMALL, shape: [2 ** 40, 2 ** 40], strides: [0, 0] }), /over 2\^53 elements/],
    ['an expanded tensor', pt({ ...SMALL, shape: [2 ** 40], strides: [0] }), /"w" is expanded too far/],
    ['a rank of 1000', pt({ ...SMALL, shape: Array(1000).fill(1), strides: Array(1000).fill(1) }), /at most 64/],
    ['an unknown storage type', pt({ ...SMALL, type: 'StrangeStorage' }), /it uses "torch.StrangeStorage"/],
    [
      'a size that lies in the directory',
      pt({ ...SMALL, count: 1e9 }, { uncompressedSize: 4e9, compressedSize: 4e9 }),
      /ends too early/,
    ],
    ['a stored size that disagrees', pt({ ...SMALL, count: 1e9 }, { uncompressedSize: 4e9 }), /its sizes disagree/],
    [
      'a compressed size of 1 TB',
      pt({ ...SMALL, count: 2e11 }, { method: 8, uncompressedSize: 1e12 }),
      /compressed and too large/,
    ],
    ['broken compressed data', pt(SMALL, { method: 8 }), /cannot be inflated/],
    ['an unknown method', pt(SMALL, { method: 99 }), /cannot be (read|inflated)|directory/],
    ['a missing storage', buildZip64(parts(tensorPickle(SMALL)).slice(0, 2)), /tensor "w" has no data/],
    ['no data.pkl', buildZip64(parts(tensorPickle(SMALL)).slice(1)), /there is no data.pkl in it/],
    [
      'two data.pkl',
      buildZip64([...parts(tensorPickle(SMALL)), { name: 'b/data.pkl', bytes: ascii('N.') }]),
      /2 entries named data.pkl/,
    ],
    [
      'duplicate names',
      buildZip64([...parts(tensorPickle(SMALL)), { name: 'a/data/0', bytes: floats(9) }]),
      /"a\/data\/0" appears twice/,
    ],
    [
      'duplicate pickles',
      buildZip64([...parts(tensorPickle(SMALL)), { name: 'a/data.pkl', bytes: ascii('N.') }]),
      /"a\/data.pkl" appears twice/,
    ],
    [
      'big-endian bytes',
      buildZip64([{ name: 'a/byteorder', bytes: ascii('big') }, parts(tensorPickle(SMALL))[0]]),
      /the byte order is "big"/,
    ],
    ['a root that is no dict', buildZip64(parts(ascii('K\x01.'))), /the file holds an int/],
    [
      'a dict without tensors',
      buildZip64(parts(ascii('}U\x04stepK\x01s.'))),
      /there are no tensors in its root dict: it holds "step"/,
    ],
    [
      'a tensor made by what makes tensors, 60,000 times over',
      buildZip64(
        parts(
          ascii(
            `ctorch._tensor\n_rebuild_from_type_v2\nq\x000)q\x010${'h\x00Nh\x01\x87q\x010'.repeat(60_000)}h\x00h\x01R.`,
          ),
        ),
      ),
      /it must be one of the functions that rebuild tensors/,
    ],
    ['os.system', buildZip64(parts(ascii('cos\nsystem\nU\x02ls\x85R.'))), /it uses "os.system"/],
    [
      'a pickle of 10 GB',
      buildZip64([{ name: 'a/data.pkl', bytes: ascii('N.'), uncompressedSize: 1e10, compressedSize: 1e10 }]),
      /at most 67108864/,
    ],
  ];
  for (const [name, source, message] of cases) {
    it(`refuses ${name}`, async () => {
      const start = performance.now();
      const error = await failure(() => opened(source));
      expect(error.message).toMatch(message);
      expect(error.where).toMatch(/^built\.pt/);
      expect(error.fix).toBeTruthy();
      expect(performance.now() - start).toBeLessThan(5000);
    });
  }

  it('stops a deflate bomb at its declared size', async () => {
    // 64 MiB of zeros in 64 KiB, declared as 24 bytes.
    const zeros = new Blob([new Uint8Array(64 * 2 ** 20)]).stream().pipeThrough(new CompressionStream('deflate-raw'));
    const bytes = new Uint8Array(await new Response(zeros).arrayBuffer());
    const error = await failure(() => opened(pt(SMALL, { bytes, method: 8, uncompressedSize: 24 })));
    expect(error.message).toMatch(/cannot be inflated/);
  });
});

describe('files that are something else', () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(0), /it is empty/],
    ['a web page', ascii('<!DOCTYPE html><html>'), /the server sent a page/],
    ['a Git LFS pointer', ascii('version https://git-lfs.github.com/spec/v1'), /git lfs pull/],
    ['a bare pickle', ascii('\x80\x04N.'), /bare pickle/],
    ['gzip', ascii('\x1f\x8b\x08\x00'), /gunzip/],
    ['noise', ascii('\x01\x02\x03\x04'), /it begins with 01 02 03 04, which is neither/],
  ];
  for (const [name, bytes, message] of cases) {
    it(`says that it is ${name}`, async () => {
      expect((await failure(() => openCheckpoint(new MemorySource('f', bytes)))).message).toMatch(message);
    });
  }
});

/** Every value is read; anything thrown must be a RuntimeError. */
async function survives(bytes: Uint8Array): Promise<'read' | 'refused'> {
  try {
    await opened(new MemorySource('mutated', bytes));
    return 'read';
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    return 'refused';
  }
}

describe('damage', () => {
  for (const name of ['root.pt', 'zip64.pt', 'deflated.pt', 'mixed.safetensors']) {
    it(`refuses every prefix of ${name}`, async () => {
      const bytes = fixtureBytes(name);
      const start = performance.now();
      for (let n = 0; n < bytes.length; n++) {
        await failure(() => opened(new MemorySource(name, bytes.subarray(0, n))));
      }
      expect(performance.now() - start).toBeLessThan(60_000);
    });
  }

  it('survives 2,000 mutations of whole files', async () => {
    const names = ['train.pt', 'views.pt', 'zip64.pt', 'deflated.pt', 'mixed.safetensors', 'protocol4.pt'];
    const next = random(2026);
    const start = performance.now();
    let slowest = 0;
    for (let i = 0; i < 2000; i++) {
      const before = performance.now();
      await survives(mutate(fixtureBytes(names[i % names.length]), next));
      slowest = Math.max(slowest, performance.now() - before);
    }
    expect(slowest).toBeLessThan(5000);
    expect(performance.now() - start).toBeLessThan(90_000);
  });

  it('survives 10,000 mutations of the pickle alone, where most of the structure is', async () => {
    const seeds: Uint8Array[] = [];
    for (const name of ['train.pt', 'views.pt', 'protocol4.pt', 'odd.pt']) {
      // data.pkl is the first entry and stored: it runs from its PROTO opcode to the next ZIP signature.
      const text = Buffer.from(fixtureBytes(name)).toString('latin1');
      const begin = /\x80[\x02-\x05]/.exec(text)!.index;
      seeds.push(fixtureBytes(name).slice(begin, text.indexOf('PK', begin)));
    }
    const next = random(99);
    const start = performance.now();
    for (let i = 0; i < 10_000; i++) {
      try {
        const bytes = mutate(seeds[i % seeds.length], next);
        unpickle(bytes, { name: 'p', globals: TORCH_GLOBALS, persistentLoad: loadStorage });
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error;
      }
    }
    expect(performance.now() - start).toBeLessThan(60_000);
  });

  it('survives mutated tensors inside a sound archive', async () => {
    const next = random(5);
    for (let i = 0; i < 1000; i++) {
      await survives(await wholeFile(buildZip64(parts(mutate(tensorPickle(SMALL), next)))));
    }
  });

  it('survives noise after each magic number', async () => {
    const next = random(11);
    for (let i = 0; i < 300; i++) {
      const noise = Uint8Array.from({ length: 200 }, () => Math.floor(next() * 256));
      const magic = i % 2 === 0 ? ascii('PK\x03\x04') : ascii('\x20\x00\x00\x00\x00\x00\x00\x00{');
      expect(await survives(concat(magic, noise))).toBe('refused');
    }
  });
});

async function wholeFile(source: ByteSource): Promise<Uint8Array> {
  return source.read(0, source.size);
}
