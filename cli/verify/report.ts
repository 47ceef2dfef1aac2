/** What `ditc verify` says: the verdict in a line or two, and the first kernel that differs at its place in the source. */
import { DitcError, formatType } from '../../compiler/ir/index.ts';
import type { TensorSpec } from '../../compiler/emit/artefact.ts';
import { plural } from '../text.ts';
import type { Check } from './check.ts';
import type { VerifyOptions } from './options.ts';

/** A check without its arrays, which may be large. */
export type Verdict = Omit<Check, 'evidence'> & { readonly result: TensorSpec };

export function verdictOf(check: Check): Verdict {
  const { evidence, ...verdict } = check;
  return { ...verdict, result: evidence.output };
}

/** `3.1e-7` */
const scientific = (x: number): string => (x ? x.toExponential(1) : '0');

/** Kernels by what the checks of their dispatches say, in order of first use. */
function byKernel(verdicts: readonly Verdict[]): Map<string, Verdict[]> {
  const kernels = new Map<string, Verdict[]>();
  for (const v of verdicts) kernels.set(v.dispatch.kernel, [...(kernels.get(v.dispatch.kernel) ?? []), v]);
  return kernels;
}

/** `14 of 14 kernels agree with the reference · largest error 3.1e-7 in fc1_gelu`, and what a reader should know besides. */
export function summaryLines(verdicts: readonly Verdict[]): string[] {
  if (!verdicts.length) return ['there is nothing to check: no kernel runs'];
  const kernels = [...byKernel(verdicts).values()];
  const agree = kernels.filter((checks) => checks.every((v) => v.agrees)).length;
  const largest = verdicts.filter((v) => v.agrees).reduce<Verdict | undefined>(larger, undefined);
  const dispatches = verdicts.length > kernels.length ? ` in ${plural(verdicts.length, 'dispatch', 'dispatches')}` : '';
  const error = largest ? ` · largest error ${scientific(largest.error)} in ${largest.dispatch.kernel}` : '';
  const verb = kernels.length === 1 && agree ? 'agrees' : 'agree';
  const verdict = `${agree} of ${plural(kernels.length, 'kernel')} ${verb} with the reference${dispatches}${error}`;
  return [verdict, ...notes(verdicts)];
}

const larger = (a: Verdict | undefined, b: Verdict): Verdict => (a && a.error >= b.error ? a : b);

/** Where agreement needs a word: looser tolerances, checks that prove little. */
function notes(verdicts: readonly Verdict[]): string[] {
  const lines = new Set<string>();
  for (const { agrees, dispatch, doubt, error, f32Error } of verdicts) {
    if (!agrees) continue;
    if (doubt) lines.add(`note: ${dispatch.kernel} ${doubt}: its check proves little`);
    if (f32Error !== undefined) {
      const least = `float32 arithmetic alone is off by ${scientific(f32Error)} on these values`;
      lines.add(`note: ${dispatch.kernel} is off by ${scientific(error)}; ${least}`);
    }
  }
  return [...lines];
}

/** How to check one kernel again, with the options that the kernel's name and values depend on. */
export function rerunCommand(path: string, options: VerifyOptions, first: Verdict): string {
  const names = ['entry', 'batch', 'dtype', 'device', 'weights', 'seed', 'tolerance', 'save'] as const;
  const kept = names.flatMap((name) => (options[name] === undefined ? [] : [`--${name} ${options[name]}`]));
  const given = [...(options.input ?? [])].map(([name, file]) => `--input ${name}=${file}`);
  const all = options.all ? ['--all'] : [];
  return ['ditc verify', path, ...kept, ...given, ...all, `--kernel ${first.dispatch.kernel}`].join(' ');
}

/** The first kernel that differs, as an error at the user's line; `saved` is the folder with its arrays. */
export function differenceError(verdicts: readonly Verdict[], saved: string, rerun: string): DitcError {
  const [first, ...others] = verdicts.filter((v) => !v.agrees);
  const { dispatch, entry, index, error, tolerance, f32Error, worst, region, result } = first;
  const amount = Number.isFinite(error)
    ? `error ${scientific(error)}, at most ${scientific(tolerance)} is allowed`
    : 'it is not finite where the reference is, or the other way round';
  const at = worst!.index.length
    ? `element [${worst!.index.join(',')}] of ${region.results.length > 1 ? `${result.name} ` : ''}${formatType(result)}`
    : 'its one element';
  const later = [...new Set(others.map((v) => v.dispatch.kernel))].filter((name) => name !== dispatch.kernel);
  const why = [
    `dispatch ${index} of ${entry}: ${dispatch.ops.join(' → ')}`,
    dispatch.source.length > 1 ? `from ${dispatch.source.join(', ')}` : '',
    `worst at ${at}: ${String(worst!.got)}, expected ${String(Math.fround(worst!.want))}`,
    f32Error !== undefined && error <= 4 * f32Error
      ? `float32 arithmetic, op by op, is off by ${scientific(f32Error)} on these values: the order of evaluation loses the answer`
      : '',
    `saved in ${saved}/: inputs/*.npy, got.npy, expected.npy, kernel.wgsl, region.ir`,
    later.length
      ? `it is the first; ${plural(later.length, 'kernel')} after it ${later.length === 1 ? 'differs' : 'differ'} too: ${later.join(', ')}`
      : '',
  ];
  return new DitcError({
    code: 'kernel-differs',
    where: dispatch.source[dispatch.source.length - 1],
    what: `kernel ${dispatch.kernel} differs from the reference: ${amount}`,
    why: why.filter(Boolean).join('\n'),
    fix: `report it with that folder; check it alone again with: ${rerun}`,
  });
}

/** A verdict for scripts. An error that is not finite is null. */
export function verdictJson({ entry, index, dispatch, agrees, error, tolerance, worst, f32Error, doubt }: Verdict) {
  const { kernel, value, ops, source } = dispatch;
  const shown = worst && { index: worst.index, got: asJson(worst.got), expected: asJson(worst.want) };
  const amount = { agrees, error: Number.isFinite(error) ? error : null, tolerance, f32Error, worst: shown };
  return { kernel, entry, dispatch: index, value, ops, source, ...amount, doubt };
}

/** JSON has no NaN and no ∞: they are text. */
const asJson = (x: number): number | string => (Number.isFinite(x) ? x : String(x));
