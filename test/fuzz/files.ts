/**
 * Damaged files: every format that ditc reads, mutated, and read whole. A try ends well when it gives the original values or
 * a named error. What a format can detect must be detected: members of a ZIP (.pt, .npz) and the parts of a PNG carry
 * checksums, so a value that differs is counted as silent. safetensors, legacy .pt, .npy, IDX, JPEG, TIFF and WebP carry none: there a
 * changed byte is another value, which is counted apart and is no fault. ONNX has none either; its networks are traced too.
 *
 *     npx tsx test/fuzz/files.ts --count 20000 --seed 1
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { DitcError } from '../../compiler/ir/index.ts';
import { Random } from '../../compiler/ops/index.ts';
import { openNpy, openNpz } from '../../runtime/checkpoint/npz.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { MemorySource, type ByteSource, type TensorFile } from '../../runtime/checkpoint/source.ts';
import { openTorch } from '../../runtime/checkpoint/torch.ts';
import { openLegacyTorch } from '../../runtime/checkpoint/torch-legacy.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { openCheckpointFile } from '../../runtime/node/checkpoint.ts';
import { decodeImage } from '../../runtime/node/data/decode.ts';
import { idxPairs, openIdx } from '../../runtime/node/data/idx.ts';
import { parseOnnx } from '../../runtime/onnx/parse.ts';
import { openOnnx } from '../../runtime/checkpoint/onnx.ts';
import { mutateBytes } from './mutate.ts';
import { networks, traced } from './onnx.ts';

/** A file's values by name; what is not there is no value. */
type Values = Map<string, ArrayLike<number>>;

interface Subject {
  readonly format: string;
  readonly file: string;
  readonly bytes: Uint8Array;
  /** Whether the format has checksums of its values. */
  readonly checked: boolean;
  read(bytes: Uint8Array): Promise<Values>;
}

export interface Counts {
  tries: number;
  same: number;
  refused: number;
  /** Other values, where no checksum could tell. */
  changed: number;
  silent: number;
  crashed: number;
  slow: number;
}

/** A try that takes longer hangs, for what it is. */
const SLOW_MS = 5_000;

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const CHECKPOINTS = '../runtime/checkpoint/fixtures/';
const PICTURES = '../golden/data/pictures/';

async function tensorsOf(file: TensorFile): Promise<Values> {
  const values: Values = new Map();
  for (const name of file.tensors.keys()) values.set(name, await file.readF32(name));
  return values;
}

const tensors = (
  format: string,
  files: readonly string[],
  checked: boolean,
  open: (s: ByteSource) => Promise<TensorFile>,
) =>
  files.map((file): Subject => ({
    format,
    file,
    checked,
    bytes: readFileSync(here(CHECKPOINTS + file)),
    read: async (bytes) => tensorsOf(await open(new MemorySource(file, bytes))),
  }));

const pictures = (format: string, name: string, bytes: Uint8Array, scratch: string): Subject => ({
  format,
  file: name,
  bytes,
  checked: format === 'PNG',
  async read(changed) {
    const path = join(scratch, name);
    writeFileSync(path, changed);
    return new Map([['pixels', await decodeImage(path, [3, 16, 16])]]);
  },
});

/** An index of shards, which lie beside it as they are. */
function index(scratch: string): Subject {
  const folder = join(scratch, 'sharded');
  const file = 'diffusion_pytorch_model.safetensors.index.json';
  cpSync(here('../golden/data/checkpoints/diffusers-sharded'), folder, { recursive: true });
  return {
    format: 'index of shards',
    file,
    checked: false,
    bytes: readFileSync(join(folder, file)),
    async read(bytes) {
      writeFileSync(join(folder, file), bytes);
      const opened = await openCheckpointFile(join(folder, file));
      try {
        return await tensorsOf(opened);
      } finally {
        await opened.close();
      }
    },
  };
}

const onnx = async (): Promise<Subject[]> =>
  (await networks()).map(({ name, bytes }) => ({
    format: 'ONNX',
    file: name,
    bytes,
    checked: false,
    async read(changed) {
      traced(parseOnnx(changed, name), name);
      return tensorsOf(await openOnnx(new MemorySource(name, changed)));
    },
  }));

async function idx(scratch: string): Promise<Subject> {
  const labels = Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 2);
  const images = Uint8Array.of(
    0,
    0,
    8,
    3,
    0,
    0,
    0,
    3,
    0,
    0,
    0,
    4,
    0,
    0,
    0,
    4,
    ...Array.from({ length: 48 }, (_, i) => i),
  );
  const file = 'train-images-idx3-ubyte';
  writeFileSync(join(scratch, 'train-labels-idx1-ubyte'), labels);
  return {
    format: 'IDX',
    file,
    bytes: images,
    checked: false,
    async read(bytes) {
      writeFileSync(join(scratch, file), bytes);
      const data = await openIdx(scratch, await idxPairs(scratch), { shape: [1, 4, 4], classes: 3 });
      const values: Values = new Map([['y', data.labels]]);
      for (let i = 0; i < data.count; i++) values.set(`x${i}`, await data.read(i, false));
      await data.close();
      return values;
    },
  };
}

async function subjects(scratch: string): Promise<Subject[]> {
  const picture = (file: string) => readFileSync(here(PICTURES + file));
  const tiff = await sharp(picture('same.png')).tiff({ compression: 'lzw' }).toBuffer();
  return [
    ...tensors('.pt', ['root.pt', 'train.pt', 'views.pt', 'deflated.pt', 'zip64.pt', 'kinds.pt'], true, openTorch),
    ...tensors('legacy .pt', ['legacy.pt'], false, openLegacyTorch),
    index(scratch),
    ...tensors('safetensors', ['mixed.safetensors', 'kinds.safetensors'], false, openSafetensors),
    ...tensors('.npz', ['stored.npz', 'deflated.npz'], true, openNpz),
    ...tensors('.npy', ['f4.npy', 'big_fortran.npy', 'u1.npy'], false, (source) => openNpy(source, 'x')),
    await idx(scratch),
    ...(await onnx()).slice(0, 5),
    pictures('PNG', 'same.png', picture('same.png'), scratch),
    pictures('JPEG', 'grey.jpg', picture('grey.jpg'), scratch),
    pictures('TIFF', 'same.tiff', tiff, scratch),
    pictures('WebP', 'plain.webp', picture('plain.webp'), scratch),
  ];
}

const alike = (a: ArrayLike<number>, b: ArrayLike<number> | undefined): boolean =>
  b !== undefined && a.length === b.length && Array.from(a).every((value, i) => Object.is(value, b[i]));

/** Damages files `count` times. `told` hears of every fault, with what makes it again. */
export async function fuzzFiles(
  count: number,
  seed: number,
  told: (line: string) => void,
): Promise<Map<string, Counts>> {
  const scratch = mkdtempSync(join(tmpdir(), 'ditc-fuzz-'));
  const table = new Map<string, Counts>();
  try {
    const all = await subjects(scratch);
    const truths = new Map<Subject, Values>();
    for (const subject of all) truths.set(subject, await subject.read(subject.bytes));
    for (let i = 0; i < count; i++) {
      const random = new Random(seed + i);
      const subject = all[i % all.length];
      const donor = random.pick(all).bytes;
      const counts = table.get(subject.format) ?? {
        tries: 0,
        same: 0,
        refused: 0,
        changed: 0,
        silent: 0,
        crashed: 0,
        slow: 0,
      };
      table.set(subject.format, counts);
      const bytes = mutateBytes(random, subject.bytes, donor);
      const start = performance.now();
      const fault = (kind: 'silent' | 'crashed' | 'slow', why: string) => {
        counts[kind]++;
        told(`${kind}: ${subject.file}, try ${i} of seed ${seed}: ${why}`);
      };
      counts.tries++;
      try {
        const values = await subject.read(bytes);
        const truth = truths.get(subject)!;
        const wrong = [...values].find(([name, held]) => truth.has(name) && !alike(held, truth.get(name)));
        if (!wrong) counts.same++;
        else if (subject.checked) fault('silent', `${wrong[0]} has other values`);
        else counts.changed++;
      } catch (error) {
        if ((error instanceof RuntimeError || error instanceof DitcError) && error.what !== '') counts.refused++;
        else fault('crashed', error instanceof Error ? (error.stack ?? error.message) : String(error));
      }
      if (performance.now() - start > SLOW_MS) fault('slow', `${Math.round(performance.now() - start)} ms`);
    }
    return table;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { count: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' } },
  });
  const table = await fuzzFiles(Number(values.count), Number(values.seed), (line) => console.log(line));
  console.table(Object.fromEntries(table));
  console.log(`${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB resident at the end`);
  const faults = [...table.values()].reduce((sum, { silent, crashed, slow }) => sum + silent + crashed + slow, 0);
  process.exitCode = faults ? 1 : 0;
}
