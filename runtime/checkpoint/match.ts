/**
 * Compares a checkpoint's tensors with a model's parameters and reports every difference at once: which are missing,
 * which are extra, which have another shape, and what the likely reason is.
 */
import { RuntimeError } from '../error.ts';
import { isFloat, type DType } from './dtype.ts';
import { unreadError, type TensorFile, type TensorInfo } from './source.ts';
import { commonPrefix, nearest, listed } from './suggest.ts';
import { Wrapped, wrappedNote } from './wrapped.ts';

/** A parameter the model needs. */
export interface ParameterSpec {
  name: string;
  shape: readonly number[];
  /** Other names that a file may have for it; the tensor may then differ in axes of size 1. */
  aliases?: readonly string[];
  /** The model computes its value: a file may do without. */
  computed?: boolean;
}

export interface MatchOptions {
  /** Parameters that the file may hold besides: the model's, but not of what is run. */
  others?: readonly Omit<ParameterSpec, 'shape'>[];
}

export interface MatchResult {
  /** The file's tensors, in the order of the parameters; undefined for one that the model computes and the file lacks. */
  tensors: (TensorInfo | undefined)[];
  /** The names of the tensors that the model does not use. */
  extra: string[];
  /** For the user: names behind a wrapper's, tensors that the model does not use, parameters that it computes. */
  notes: string[];
}

export interface WrongShape {
  name: string;
  expected: readonly number[];
  found: readonly number[];
}

export function describeShape({ name, expected, found }: WrongShape): string {
  const transposed =
    expected.length === 2 && expected[0] === found[1] && expected[1] === found[0] && found.length === 2;
  return `${name}: the model has [${expected.join(', ')}], the file [${found.join(', ')}]${transposed ? ' (transposed)' : ''}`;
}

const OTHER_MODEL = 'the file belongs to another model: check which file and which model were given';

/** The most helpful single next step. */
function chooseFix(missing: ParameterSpec[], extra: string[], wrong: WrongShape[], total: number): string {
  if (extra.some((name) => /\.lora_[AB]\.weight$/.test(name)))
    return 'it is an adapter: add it to the weights that it was trained beside, with ditc convert WEIGHTS OUT --lora ADAPTER';
  const prefix = commonPrefix(
    missing.map((p) => p.name),
    extra,
  );
  // A prefix that helps few of them was found by chance.
  if (prefix && prefix.count * 2 <= missing.length) return OTHER_MODEL;
  if (prefix?.side === 'file') {
    const wrapped = /^(ema|model|state_dict)\.$/.test(prefix.text) ? ' (a wrapped checkpoint that was flattened)' : '';
    return `the file's names begin with "${prefix.text}"${wrapped}: strip it from ${prefix.count} of them`;
  }
  if (prefix?.side === 'model') {
    return `the model's names begin with "${prefix.text}", the file's do not: add it to ${prefix.count} of them`;
  }
  if (missing.length === total) return OTHER_MODEL;
  if (wrong.length > 0 && missing.length + extra.length === 0) {
    return "build the model with the file's sizes, or pass the file that belongs to this model";
  }
  if (missing.length + wrong.length === 0) return 'build the model with the depth that the file was trained with';
  return 'check that the model was built with the options the file was trained with';
}

/** The tensor of a parameter: by its name, else the first other name that the file has, else behind a wrapper's. */
export function findTensor(
  file: TensorFile,
  { name, aliases = [] }: ParameterSpec,
  wrapped: Wrapped,
): TensorInfo | undefined {
  const known = [name, ...aliases].find((candidate) => file.tensors.has(candidate) || file.unread?.has(candidate));
  return file.tensors.get(known ?? wrapped.nameOf(name) ?? '');
}

export function fits(found: TensorInfo, { aliases = [], shape }: ParameterSpec): boolean {
  const same = (a: readonly number[], b: readonly number[]) => a.length === b.length && a.every((n, i) => n === b[i]);
  const long = (sizes: readonly number[]) => sizes.filter((n) => n !== 1);
  return aliases.includes(found.name) ? same(long(found.shape), long(shape)) : same(found.shape, shape);
}

/**
 * What comes before the first dot (with the dot) in all names by which tensors were found, when that is not the parameters'
 * own: the file holds several models, and the tensors of the others are not this one's. Empty otherwise.
 */
function partOf(tensors: readonly TensorInfo[], parameters: readonly ParameterSpec[]): string {
  const head = ({ name }: { name: string }) => name.slice(0, name.indexOf('.') + 1);
  if (tensors.length < parameters.length || !tensors.length) return '';
  const [part] = tensors.map(head);
  return tensors.every((t) => head(t) === part) && !parameters.some((p) => head(p) === part) ? part : '';
}

/** The name with `*` for numbers between dots: blocks of one stack have one pattern. */
export const patternOf = (name: string): string => name.replace(/(^|\.)\d+(?=\.|$)/g, '$1*');

/**
 * Matches by name and shape. Tensors that the model has no use for are passed over, unless they are more of what it has:
 * block 13 of 24 for a model of 12 belongs to another model.
 * @throws RuntimeError `mismatch` listing the first few of each kind, with counts, likely renames and a fix;
 * `unsupported` for a parameter whose tensor is of a type that is not read.
 */
export function matchParameters(
  file: TensorFile,
  parameters: readonly ParameterSpec[],
  options: MatchOptions = {},
): MatchResult {
  const wrapped = new Wrapped(file);
  const missing: ParameterSpec[] = [];
  const computed: string[] = [];
  const wrong: WrongShape[] = [];
  const tensors = parameters.map((parameter) => {
    const found = findTensor(file, parameter, wrapped);
    if (found && !fits(found, parameter))
      wrong.push({ name: found.name, expected: parameter.shape, found: found.shape });
    if (found) return found;
    checkRead(file, parameter, wrapped);
    if (parameter.computed) computed.push(parameter.name);
    else missing.push(parameter);
    return undefined;
  });
  const present = tensors.filter((t) => t !== undefined);
  const part = partOf(present, parameters);
  const known = new Set(present.map((t) => t.name));
  for (const { name, aliases = [] } of options.others ?? [])
    for (const candidate of [name, ...aliases, wrapped.nameOf(name)]) if (candidate !== undefined) known.add(candidate);
  const extra = [...file.tensors.keys()].filter((name) => !known.has(name) && name.startsWith(part));
  const origins = present.flatMap(({ name }) => file.originsOf?.(name) ?? [name]);
  const patterns = new Set(origins.map(patternOf));
  const more = extra.filter((name) => /(^|\.)\d+(\.|$)/.test(name) && patterns.has(patternOf(name)));
  if (missing.length + wrong.length + more.length === 0)
    return { tensors, extra, notes: notesOn(file, present, wrapped, extra, computed) };

  const listedExtra = missing.length + wrong.length ? extra : more;
  const candidates = listedExtra.map((name) => file.tensors.get(name)!);
  const describeMissing = (p: ParameterSpec) => {
    const near = nearest(p, candidates);
    return `${p.name} [${p.shape.join(', ')}]${near ? `, did you mean ${near}?` : ''}`;
  };
  const why = [
    `${present.length - wrong.length} of ${parameters.length} parameters match`,
    ...listed('missing from the file', missing, describeMissing),
    ...listed('of the wrong shape', wrong, describeShape),
    ...listed('not used by the model', candidates, (t) => `${t.name} [${t.shape.join(', ')}]`),
  ];
  throw new RuntimeError({
    code: 'mismatch',
    where: file.name,
    what: 'the checkpoint does not fit the model',
    why: why.join('\n'),
    fix: chooseFix(missing, listedExtra, wrong, parameters.length),
  });
}

/** Throws for a parameter whose tensor is there, but cannot be read. */
function checkRead(file: TensorFile, { name, aliases = [], computed }: ParameterSpec, wrapped: Wrapped): void {
  if (computed) return;
  for (const candidate of [name, ...aliases, wrapped.nameOf(name)]) {
    const what = candidate === undefined ? undefined : file.unread?.get(candidate);
    if (what !== undefined) throw unreadError(file.name, candidate!, what);
  }
}

/** Floats of other types that become the model's. */
export function castNotes(where: string, present: readonly TensorInfo[]): string[] {
  const counts = new Map<DType, number>();
  for (const { dtype } of present)
    if (isFloat(dtype) && dtype !== 'f32') counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
  return [...counts].map(([dtype, count]) => {
    const all = count === present.length ? 'all' : String(count);
    return `${where}: ${all} of its tensors ${count === 1 ? 'is' : 'are'} ${dtype}, and read as f32`;
  });
}

function notesOn(
  file: TensorFile,
  present: readonly TensorInfo[],
  wrapped: Wrapped,
  extra: readonly string[],
  computed: readonly string[],
): string[] {
  const shown = (names: readonly string[]) => names.slice(0, 4).join(', ') + (names.length > 4 ? ', …' : '');
  const behind = wrapped.used(present);
  return [
    ...(behind.length ? [wrappedNote(file.name, behind)] : []),
    ...castNotes(file.name, present),
    ...(extra.length ? [`${file.name}: the model does not use ${extra.length} of its tensors: ${shown(extra)}`] : []),
    ...(computed.length ? [`${file.name} lacks ${shown(computed)}, which the model computes`] : []),
  ];
}
