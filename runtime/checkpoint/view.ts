/** A file seen by other names: a tensor of the view is one of the file's, or several that lie one behind the other. */
import { RuntimeError, quote } from '../error.ts';
import { elementCount } from './dtype.ts';
import { checkElements, type TensorFile, type TensorInfo } from './source.ts';

/** The file's tensors that make one of the view, joined along the first axis. */
export type Parts = readonly string[];

interface Viewed {
  readonly info: TensorInfo;
  readonly parts: readonly TensorInfo[];
}

/** What a view's name stands for. @throws RuntimeError `mismatch` for parts that do not go together. */
function viewed(file: TensorFile, name: string, names: Parts): Viewed {
  const parts = names.map((part) => file.tensors.get(part)!);
  const [first] = parts;
  if (parts.length === 1) return { info: { ...first, name }, parts };
  const typed = ({ dtype, shape }: TensorInfo) => `${dtype} [*${shape.slice(1).map((size) => `, ${size}`)}]`;
  const other = parts.find((part) => typed(part) !== typed(first) || !part.shape.length);
  if (other) {
    const what = `${quote(first.name)} and ${quote(other.name)} do not go together`;
    const shown = ({ dtype, shape }: TensorInfo) => `${dtype} [${shape.join(', ')}]`;
    const why = `they are parts of ${name}, and of ${shown(first)} and ${shown(other)}`;
    throw new RuntimeError({ code: 'mismatch', where: file.name, what, why, fix: 'save them in one type and width' });
  }
  const rows = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  return { info: { name, dtype: first.dtype, shape: [rows, ...first.shape.slice(1)] }, parts };
}

class View implements TensorFile {
  readonly tensors: ReadonlyMap<string, TensorInfo>;

  constructor(
    private readonly file: TensorFile,
    private readonly held: ReadonlyMap<string, Viewed>,
    readonly unread: ReadonlyMap<string, string> | undefined,
  ) {
    this.tensors = new Map([...held].map(([name, { info }]) => [name, info]));
  }

  get name(): string {
    return this.file.name;
  }
  get metadata(): Record<string, string> {
    return this.file.metadata;
  }
  get config(): TensorFile['config'] {
    return this.file.config;
  }

  originsOf(name: string): readonly string[] {
    const parts = this.held.get(name)?.parts ?? [];
    return parts.flatMap((part) => this.file.originsOf?.(part.name) ?? [part.name]);
  }

  /** The parts, or for a name that is none, whatever the file makes of it. */
  #partsOf(name: string): readonly Pick<TensorInfo, 'name' | 'shape'>[] {
    return this.held.get(name)?.parts ?? [{ name, shape: [] }];
  }

  async *readF32Chunks(name: string, chunk?: number): AsyncGenerator<Float32Array> {
    for (const part of this.#partsOf(name)) yield* this.file.readF32Chunks(part.name, chunk);
  }

  async readF32Range(name: string, first: number, count: number): Promise<Float32Array> {
    const out = new Float32Array(count);
    let at = 0;
    for (const [part, from, length] of this.#within(name, first, count)) {
      out.set(await this.file.readF32Range(part, from, length), at);
      at += length;
    }
    return out;
  }

  readF32(name: string): Promise<Float32Array> {
    return this.#whole(name, (part) => this.file.readF32(part), Float32Array);
  }

  readI32(name: string): Promise<Int32Array> {
    return this.#whole(name, (part) => this.file.readI32(part), Int32Array);
  }

  async *readRaw(name: string, first = 0, count?: number): AsyncGenerator<Uint8Array> {
    for (const [part, from, length] of this.#within(name, first, count)) yield* this.file.readRaw(part, from, length);
  }

  close(): Promise<void> {
    return this.file.close();
  }

  async #whole<T extends Float32Array | Int32Array>(
    name: string,
    read: (part: string) => Promise<T>,
    type: new (length: number) => T,
  ): Promise<T> {
    const parts = this.#partsOf(name);
    if (parts.length === 1) return read(parts[0].name);
    const out = new type(elementCount(this.tensors.get(name)!.shape));
    let at = 0;
    for (const part of parts) {
      const values = await read(part.name);
      out.set(values, at);
      at += values.length;
    }
    return out;
  }

  /** The stretches of parts that make a stretch of the tensor. */
  #within(name: string, first: number, count?: number): [part: string, first: number, count: number][] {
    const info = this.tensors.get(name);
    if (!info) return [[name, first, count ?? 0]]; // refused by the file
    const total = elementCount(info.shape);
    const end = count === undefined ? total : first + count;
    checkElements(this.name, name, total, first, end - first);
    let before = 0;
    return this.#partsOf(name).flatMap((part): [string, number, number][] => {
      const size = elementCount(part.shape);
      const [from, to] = [Math.max(first - before, 0), Math.min(end - before, size)];
      before += size;
      return from < to ? [[part.name, from, to - from]] : [];
    });
  }
}

/** The file by other names, and no others. Closing the view closes the file. */
export function viewOf(file: TensorFile, names: ReadonlyMap<string, Parts>, unread = file.unread): TensorFile {
  const held = new Map([...names].map(([name, parts]) => [name, viewed(file, name, parts)]));
  return new View(file, held, unread);
}
