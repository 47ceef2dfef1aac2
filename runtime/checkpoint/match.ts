/**
 * Compares a checkpoint's tensors with a model's parameters and reports every difference at once: which are missing,
 * which are extra, which have another shape, and what the likely reason is.
 */
import { RuntimeError } from '../error.ts';
import type { TensorFile, TensorInfo } from './source.ts';
import { commonPrefix, nearest, listed } from './suggest.ts';

/** A parameter the model needs. */
export interface ParameterSpec {
  name: string;
  shape: readonly number[];
  /** Other names that a file may have for it; the tensor may then differ in axes of size 1. */
  aliases?: readonly string[];
}

export interface MatchOptions {
  /** Tensors the model does not use are no error. */
  allowExtra?: boolean;
  /** Parameters that the file may hold besides: the model's, but not of what is run. */
  others?: readonly Omit<ParameterSpec, 'shape'>[];
}

export interface MatchResult {
  /** The file's tensors, in the order of the parameters. */
  tensors: TensorInfo[];
  /** The names of the tensors that the model does not use; empty unless `allowExtra`. */
  extra: string[];
}

interface WrongShape {
  name: string;
  expected: readonly number[];
  found: readonly number[];
}

function describeShape({ name, expected, found }: WrongShape): string {
  const transposed =
    expected.length === 2 && expected[0] === found[1] && expected[1] === found[0] && found.length === 2;
  return `${name}: the model has [${expected.join(', ')}], the file [${found.join(', ')}]${transposed ? ' (transposed)' : ''}`;
}

const OTHER_MODEL = 'the file belongs to another model: check which file and which model were given';

/** The most helpful single next step. */
function chooseFix(missing: ParameterSpec[], extra: string[], wrong: WrongShape[], total: number): string {
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
  if (missing.length + wrong.length === 0) return 'allow extra tensors if the model is not meant to use them';
  return 'check that the model was built with the options the file was trained with';
}

/** The tensor of a parameter, by its name or else the first other name that the file has. */
function findTensor(file: TensorFile, { name, aliases = [] }: ParameterSpec): TensorInfo | undefined {
  const known = [name, ...aliases].find((candidate) => file.tensors.has(candidate));
  return known === undefined ? undefined : file.tensors.get(known);
}

function fits(found: TensorInfo, { name, shape }: ParameterSpec): boolean {
  const same = (a: readonly number[], b: readonly number[]) => a.length === b.length && a.every((n, i) => n === b[i]);
  const long = (sizes: readonly number[]) => sizes.filter((n) => n !== 1);
  return found.name === name ? same(found.shape, shape) : same(long(found.shape), long(shape));
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

/**
 * Matches by name and shape.
 * @throws RuntimeError `mismatch` listing the first few of each kind, with counts, likely renames and a fix.
 */
export function matchParameters(
  file: TensorFile,
  parameters: readonly ParameterSpec[],
  options: MatchOptions = {},
): MatchResult {
  const missing: ParameterSpec[] = [];
  const wrong: WrongShape[] = [];
  const tensors: TensorInfo[] = [];
  for (const parameter of parameters) {
    const found = findTensor(file, parameter);
    if (!found) missing.push(parameter);
    else {
      tensors.push(found);
      if (!fits(found, parameter)) wrong.push({ name: found.name, expected: parameter.shape, found: found.shape });
    }
  }
  const wanted = new Set(tensors.map((t) => t.name));
  const part = partOf(tensors, parameters);
  const known = new Set([...wanted, ...(options.others ?? []).flatMap(({ name, aliases = [] }) => [name, ...aliases])]);
  const extra = [...file.tensors.keys()].filter((name) => !known.has(name) && name.startsWith(part));
  const extraIsFine = options.allowExtra === true || extra.length === 0;
  if (missing.length === 0 && wrong.length === 0 && extraIsFine) return { tensors, extra };

  const candidates = extra.map((name) => file.tensors.get(name)!);
  const describeMissing = (p: ParameterSpec) => {
    const near = nearest(p, candidates);
    return `${p.name} [${p.shape.join(', ')}]${near ? `, did you mean ${near}?` : ''}`;
  };
  const why = [
    `${tensors.length - wrong.length} of ${parameters.length} parameters match`,
    ...listed('missing from the file', missing, describeMissing),
    ...listed('of the wrong shape', wrong, describeShape),
    ...(extraIsFine ? [] : listed('not used by the model', candidates, (t) => `${t.name} [${t.shape.join(', ')}]`)),
  ];
  throw new RuntimeError({
    code: 'mismatch',
    where: file.name,
    what: 'the checkpoint does not fit the model',
    why: why.join('\n'),
    fix: chooseFix(missing, extra, wrong, parameters.length),
  });
}
