/**
 * The check behind `ditc verify`: the kernels of an artefact run one dispatch at a time on the GPU, in the order and on the
 * values of a real run, and each result is compared with the float64 interpreter's, computed from the very values the
 * kernel read.
 *
 * What a kernel is to write is set to NaN first, so that an element it leaves out is seen. Where a result is wrong, the
 * reference's takes its place: every later kernel is then judged by itself.
 */
import { setImmediate } from 'node:timers/promises';
import type { Artefact, Dispatch, TensorSpec } from '../../compiler/emit/artefact.ts';
import type { EntryInput } from '../../compiler/emit/build.ts';
import { regionGraph } from '../../compiler/emit/region-graph.ts';
import { isFloat, type Graph } from '../../compiler/ir/index.ts';
import { interpretSteps, type Bindings, type Dense, type InterpretOptions } from '../../compiler/ops/index.ts';
import { resourcesOf } from './resources.ts';
import { operandsOf, type Region } from '../../compiler/fusion/regions.ts';
import type { Program } from '../../runtime/program.ts';
import type { Stepper } from '../../runtime/stepper.ts';
import type { Values } from '../../runtime/transfer.ts';
import { compare, toleranceOf, type Difference } from './compare.ts';
import { slack, withinRounding } from './slack.ts';
import { drawInputs } from './values.ts';

/** One dispatch to check. */
export interface Job {
  readonly entry: string;
  /** Place among the dispatches of its entry. */
  readonly index: number;
  readonly dispatch: Dispatch;
  readonly region: Region;
}

/** What a kernel read and wrote, and what it should have written. */
export interface Evidence {
  /** The kernel's computation; its inputs are named as `inputs`. */
  readonly graph: Graph;
  readonly inputs: Readonly<Record<string, Values>>;
  /** Of several results the one that differs most: its name and type in the graph. */
  readonly output: TensorSpec;
  readonly got: Values;
  readonly want: Float64Array;
}

export interface Check extends Job, Difference {
  readonly agrees: boolean;
  /** Largest error that agrees. */
  readonly tolerance: number;
  /** Error of the same computation in float32 with every op rounded; only asked for when the usual tolerance does not do. */
  readonly f32Error?: number;
  /** Why agreement would prove little. */
  readonly doubt?: 'reads values that are not finite' | 'is NaN in the reference too' | 'gives only zeros';
  readonly evidence: Evidence;
}

export interface CheckOptions {
  /** Seed of the inputs that are not given. */
  readonly seed: number;
  /** Values for inputs, by name. */
  readonly inputs?: ReadonlyMap<string, Values>;
  /** Instead of the tolerance of the dtype. */
  readonly tolerance?: number;
  /** Told before each check, and as dispatches run in between. */
  readonly onProgress?: (progress: { done: number; total: number; kernel: string }) => void;
}

/** Dispatches submitted at once between two checks: few, so that the device stays responsive and progress is seen. */
const RUN_AHEAD = 8;

/** The first dispatch of every kernel, or all dispatches; of one kernel only, where it is named. */
export function jobsOf(
  artefact: Artefact,
  entries: readonly EntryInput[],
  { all = false, kernel }: { all?: boolean; kernel?: string } = {},
): Job[] {
  const seen = new Set<string>();
  return entries.flatMap(({ name, regions }) =>
    artefact.manifest.entries[name].dispatches.flatMap((dispatch, index): Job[] => {
      if ((kernel !== undefined && dispatch.kernel !== kernel) || (!all && seen.has(dispatch.kernel))) return [];
      seen.add(dispatch.kernel);
      return [{ entry: name, index, dispatch, region: regions[index].region }];
    }),
  );
}

/** Checks the jobs in the order of their entries. The program holds the weights; its states go through the runs. */
export async function* checkKernels(
  program: Program,
  entries: readonly EntryInput[],
  jobs: readonly Job[],
  options: CheckOptions,
): AsyncGenerator<Check> {
  const parts = entries.flatMap(({ name, graph }) => {
    const own = jobs.filter((job) => job.entry === name);
    // An entry that leaves nothing behind matters only for its own kernels.
    return own.length || graph.updates.length ? [{ name, own, spec: program.manifest.entries[name] }] : [];
  });
  const needed = parts.slice(0, parts.findLastIndex(({ own }) => own.length) + 1);
  const total = needed.reduce((sum, { spec }) => sum + spec.dispatches.length, 0);
  let before = 0;
  for (const { name, own, spec } of needed) {
    for (const [input, values] of drawInputs(program.manifest, name, options.seed))
      program.write(input, options.inputs?.get(input) ?? values);
    const stepper = program.stepper(name);
    const tell = (index: number) =>
      options.onProgress?.({ done: before + index, total, kernel: spec.dispatches[index].kernel });
    const runUpTo = async (from: number, end: number) => {
      for (let at = from; at < end; at += RUN_AHEAD) {
        tell(at);
        stepper.run(at, Math.min(at + RUN_AHEAD, end));
        await program.sync();
      }
    };
    let next = 0;
    for (const job of own) {
      await runUpTo(next, job.index);
      tell(job.index);
      yield await checkDispatch(stepper, job, options);
      next = job.index + 1;
    }
    before += spec.dispatches.length;
    if (before === total) return;
    await runUpTo(next, spec.dispatches.length);
    stepper.finish();
  }
}

/** Runs one dispatch and judges it; those before it have run. */
export async function checkDispatch(
  stepper: Stepper,
  job: Job,
  options: Pick<CheckOptions, 'tolerance'> = {},
): Promise<Check> {
  const { index, dispatch, region } = job;
  const graph = regionGraph(region);
  const { results, replaces } = region;
  const lies = resourcesOf(region, dispatch);
  const written = results.map(({ node }) => lies.get(node)!);
  const inputs: Record<string, Values> = {};
  for (const [i, node] of operandsOf(region).entries()) {
    const spec = specOf(graph.inputs[i].attrs.name, graph.inputs[i].type);
    inputs[spec.name] = await stepper.read(spec, lies.get(node)!);
  }
  results.forEach(({ node }, i) => {
    if (!replaces.has(node)) stepper.poison(written[i]);
  });
  stepper.run(index, index + 1);
  const want = await reference(graph, inputs);
  const found = [];
  for (const [i, { name, node }] of graph.outputs.entries()) {
    const output = specOf(name, node.type);
    const got = await stepper.read(output, written[i]);
    const difference = compare(got, want[i], node.type.shape);
    const verdict = await judge(difference, graph, i, inputs, want[i], options.tolerance);
    if (!verdict.agrees) stepper.write(output, written[i], asValues(node.type.dtype, want[i]));
    const doubt = doubtOf(inputs, want[i]);
    found.push({ ...difference, ...verdict, doubt, evidence: { graph, inputs, output, got, want: want[i] } });
  }
  return { ...job, ...found.reduce(worse) };
}

/** Of two results the one that is off further, by what each is allowed. */
function worse<T extends { error: number; tolerance: number; agrees: boolean }>(a: T, b: T): T {
  if (a.agrees !== b.agrees) return a.agrees ? b : a;
  return b.error / b.tolerance > a.error / a.tolerance ? b : a;
}

/** Within the tolerance, or as far off as may be where float32 has its limits (slack.ts). */
export async function judge(
  { error }: Difference,
  graph: Graph,
  output: number,
  inputs: Readonly<Record<string, Values>>,
  want: Float64Array,
  given: number | undefined,
): Promise<Pick<Check, 'agrees' | 'tolerance' | 'f32Error'>> {
  const { type } = graph.outputs[output].node;
  const tolerance =
    given ??
    toleranceOf(
      type.dtype,
      graph.inputs.map((input) => input.type.dtype),
    );
  if (error <= tolerance) return { agrees: true, tolerance };
  if (given !== undefined || error === Infinity || !isFloat(type.dtype)) return { agrees: false, tolerance };
  const errorOf = async (bindings: Bindings, options?: InterpretOptions) =>
    compare((await reference(graph, bindings, options))[output], want, type.shape).error;
  const f32Error = await errorOf(inputs, { f32: true });
  const moved = [await errorOf(withinRounding(inputs, 0)), await errorOf(withinRounding(inputs, 1))];
  const allowed = Math.max(tolerance, slack(f32Error, Math.max(...moved)));
  return { agrees: error <= allowed, tolerance: allowed, f32Error };
}

/**
 * The graph's outputs by the interpreter, in float64 or with every op rounded to float32. Between ops the event loop has its
 * turn: a large kernel takes seconds.
 */
export async function reference(
  graph: Graph,
  inputs: Bindings,
  options: InterpretOptions = {},
): Promise<Float64Array[]> {
  const steps = interpretSteps(graph, inputs, options);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return graph.outputs.map(({ name }) => inRange(value.outputs[name]));
    await setImmediate();
  }
}

/** From half of the way between the largest f16 and the next number that would follow, values round to infinity. */
const HALF_OVERFLOW = 65520;

/** The values as memory holds them at the ends of its range: the interpreter knows no end of f16. */
const inRange = ({ dtype, data }: Dense): Float64Array =>
  dtype === 'f16' ? data.map((x) => (Math.abs(x) >= HALF_OVERFLOW ? Math.sign(x) * Infinity : x)) : data;

function doubtOf(inputs: Readonly<Record<string, Values>>, want: Float64Array): Check['doubt'] {
  if (Object.values(inputs).some((values) => !values.every(Number.isFinite))) return 'reads values that are not finite';
  if (want.some(Number.isNaN)) return 'is NaN in the reference too';
  return want.every((x) => x === 0) ? 'gives only zeros' : undefined;
}

export const specOf = (name: unknown, type: Omit<TensorSpec, 'name'>): TensorSpec => ({
  name: String(name),
  dtype: type.dtype,
  shape: type.shape,
});

/** Numbers as a buffer of the type takes them. */
export function asValues(dtype: TensorSpec['dtype'], data: ArrayLike<number>): Values {
  if (dtype === 'f32' || dtype === 'f16') return Float32Array.from(data);
  return dtype === 'i32' ? Int32Array.from(data) : Uint32Array.from(data);
}
