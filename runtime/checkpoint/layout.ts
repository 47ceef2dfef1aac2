/**
 * Checkpoints that hold a model's parameters in another layout, as the model declares it (`layouts` of defineModel): under other
 * names, in parts along the first axis (q, k and v apart), in several equal copies, or not at all where they are computed.
 */
import { RuntimeError } from '../error.ts';
import type { TensorFile } from './source.ts';
import { listed } from './suggest.ts';
import { viewOf, type Parts } from './view.ts';
import { Wrapped, wrappedNote } from './wrapped.ts';

/** How a layout stores a parameter: its parts, each by the names of its equal copies. */
export type StoredAs = readonly (readonly string[])[];

export interface LaidOut {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** By the name of the layout. */
  readonly layouts?: Readonly<Record<string, StoredAs>>;
}

/** Values that a layout's `config.json` must have, where it says anything of them: the tensors' shapes do not show them. */
export type Fixed = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** The file by the names of the model's parameters. */
export interface AsModel {
  readonly file: TensorFile;
  /** The layout that the file was in; undefined for the model's own names. */
  readonly layout?: string;
  /** The names of parameters that are there in several equal copies, with those of the copies. */
  readonly copies: ReadonlyMap<string, readonly string[]>;
  readonly notes: readonly string[];
}

/** How many parameters a file holds by each layout's names, the model's own (`''`) first. */
function counts(file: TensorFile, params: readonly LaidOut[], wrapped: Wrapped): [layout: string, count: number][] {
  const has = (name: string) => file.tensors.has(name) || file.unread?.has(name) || wrapped.has(name);
  const names = new Set(params.flatMap(({ layouts = {} }) => Object.keys(layouts)));
  const own = params.filter(({ name, aliases = [] }) => [name, ...aliases].some(has)).length;
  const inLayout = (layout: string) =>
    params.filter(({ layouts = {} }) => layouts[layout]?.length && layouts[layout].every((part) => part.some(has)));
  return [['', own], ...[...names].map((name): [string, number] => [name, inLayout(name).length])];
}

/**
 * The file as the model names things, in whichever layout it is.
 * @throws RuntimeError `mismatch` when copies of one parameter differ, when `config.json` beside the file is of another model.
 */
export async function asModel(file: TensorFile, params: readonly LaidOut[], fixed: Fixed = {}): Promise<AsModel> {
  const wrapped = new Wrapped(file);
  const [best] = counts(file, params, wrapped).sort((a, b) => b[1] - a[1]);
  if (best[0] === '') return { file, copies: new Map(), notes: [] };
  const [layout] = best;
  checkConfig(file, layout, fixed[layout]);
  const names = new Map<string, Parts>();
  const used = new Set<string>();
  const folded = new Map<string, string[]>();
  let joined = 0;
  for (const param of params) {
    const parts = param.layouts?.[layout] ?? [];
    const found = parts.map((copies) => copies.flatMap((name) => wrapped.find(name) ?? []));
    if (!found.length || found.some((copies) => !copies.length)) continue;
    for (const name of found.flat()) used.add(name);
    for (const copies of found) await checkCopies(file, param.name, copies);
    names.set(
      param.name,
      found.map(([first]) => first),
    );
    if (found.length > 1) joined++;
    if (found.some((copies) => copies.length > 1)) folded.set(param.name, found.flat());
  }
  for (const name of file.tensors.keys()) if (!used.has(name) && !names.has(name)) names.set(name, [name]);
  const unread = new Map([...(file.unread ?? [])].filter(([name]) => !used.has(name)));
  const told = [
    `${file.name} is in the layout of ${layout}`,
    ...(joined ? [`${joined} parameters are joined of parts`] : []),
    ...(folded.size ? [`${folded.size} are there in equal copies`] : []),
  ];
  const behind = wrapped.used([...used].map((name) => ({ name })));
  const notes = [told.join(', '), ...(behind.length ? [wrappedNote(file.name, behind)] : [])];
  return { file: viewOf(file, names, unread), layout, copies: folded, notes };
}

/** A model that has one of them can stand for copies that are equal, bit by bit. */
async function checkCopies(file: TensorFile, param: string, [first, ...others]: readonly string[]): Promise<void> {
  const differing: string[] = [];
  for (const name of others) if (!(await isEqual(file, first, name))) differing.push(name);
  if (!differing.length) return;
  const what = `the copies of ${param} differ`;
  const why = [`the model has one; of its ${others.length + 1} copies`];
  why.push(...listed(`unlike ${first}`, differing, (name) => name));
  const fix =
    'they went apart when it was fine-tuned: copy those of one block into all of them, if that is what is meant';
  throw new RuntimeError({ code: 'mismatch', where: file.name, what, why: why.join('\n'), fix });
}

async function isEqual(file: TensorFile, a: string, b: string): Promise<boolean> {
  const [x, y] = [a, b].map((name) => file.tensors.get(name));
  if (!x || !y) return x === y; // of a type that is not read: told when it is needed
  if (x.dtype !== y.dtype || x.shape.join() !== y.shape.join()) return false;
  const others = file.readRaw(b)[Symbol.asyncIterator]();
  for await (const bytes of file.readRaw(a)) {
    const { value } = (await others.next()) as { value?: Uint8Array };
    if (!value || !isSame(bytes, value)) return false;
  }
  return true;
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

function checkConfig(
  { name, config }: TensorFile,
  layout: string,
  fixed: Readonly<Record<string, unknown>> = {},
): void {
  const other = Object.keys(fixed).filter((key) => ![undefined, null, fixed[key]].includes(config?.get(key) as null));
  if (!other.length) return;
  const why = other.map(
    (key) => `${key}: config.json has ${String(config!.get(key))}, the model ${String(fixed[key])}`,
  );
  const what = `its config.json (${layout}) is of another model`;
  const fix = 'give the model file that the checkpoint belongs to';
  throw new RuntimeError({ code: 'mismatch', where: name, what, why: why.join('\n'), fix });
}
