/** One graph compiled for one device, its kernels run one by one in this process, and what they give held against the interpreter. */
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { byteSize, DitcError, nodesOf, type Graph } from '../../compiler/ir/index.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { schedule, type Scheduled } from '../../compiler/pipeline.ts';
import { runSchedule } from '../helpers/run-schedule.ts';
import { distance, valuesOf, type Case } from './cases.ts';
import type { Target } from './devices.ts';
import { anyPlans } from './given-plans.ts';

/** A target; the share of what activations take that they may take; whether one number that goes in is none; which plans are given. */
export interface Trial {
  readonly target: Target;
  readonly share?: number;
  readonly nan?: boolean;
  readonly plans?: number;
}

export interface Failure {
  readonly kind: 'wrong' | 'crashed';
  readonly message: string;
}

/** Kernels that ran; `refused`: the device cannot hold a value, and the compiler says so. */
export type Verdict =
  { readonly kernels: number; readonly scheduled: Scheduled } | { readonly refused: string } | Failure;

/**
 * Kernels and interpreter compute in float64, in other orders, with constants of float32. What is wrong is wrong by far more than that:
 * a sum that lacks one of 1,000 terms is off by 1e-3.
 */
const TOLERANCE = 1e-5;

/** `free`: the same without a budget, where that is known. */
export function check(
  { graph, bindings: drawn }: Case,
  { target, share, nan, plans }: Trial,
  free?: Scheduled,
): Verdict {
  try {
    const bindings = nan ? withNaN(graph, drawn) : drawn;
    // What is rounded to f16 on the way stays as it is: results are then as right as those of f32.
    const given = plans === undefined ? {} : { plan: anyPlans(plans) };
    const options = { ...target, ...given, verify: true, exact: true };
    const memory = share === undefined ? undefined : budget(free ?? schedule(graph, options), graph, share);
    const ran = runSchedule(graph, bindings, { ...options, memory });
    const most = target.device.limits.maxStorageBuffersPerShaderStage;
    const dispatches = [...ran.inParts, ...ran.dispatches];
    const crowded = dispatches.find(({ resources }) => resources.length > most);
    if (crowded) return { kind: 'crashed', message: `${crowded.kernel} binds ${crowded.resources.length} buffers` };
    const got = new Map([
      ...Object.entries(ran.outputs),
      ...Object.entries(ran.updates).map(([name, data]): [string, Float64Array] => [`next ${name}`, data]),
    ]);
    for (const [name, want] of valuesOf(interpret(resolveGradients(graph), bindings))) {
      const lost = want.findIndex((x, i) => Number.isNaN(x) !== Number.isNaN(got.get(name)![i]));
      if (lost >= 0)
        return { kind: 'wrong', message: `${name}[${lost}] is ${got.get(name)![lost]}, not ${want[lost]}` };
      const [off, norm] = distance(...numbersOf(want, got.get(name)!));
      if (!(off <= TOLERANCE * norm + 1e-9)) return { kind: 'wrong', message: `${name} is off by ${off} of ${norm}` };
    }
    return { kernels: dispatches.length, scheduled: ran.scheduled };
  } catch (error) {
    if (error instanceof DitcError && error.code === 'limit') return { refused: error.message };
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { kind: 'crashed', message: cause instanceof Error ? `${cause.message}\n${cause.stack}` : String(cause) };
  }
}

/** One number of one leaf becomes NaN. */
function withNaN(graph: Graph, bindings: Case['bindings']): Case['bindings'] {
  const leaves = nodesOf(graph).filter(({ attrs, type }) => typeof attrs.name === 'string' && type.dtype === 'f32');
  if (!leaves.length) return bindings;
  const name = String(leaves[nodesOf(graph).length % leaves.length].attrs.name);
  return { ...bindings, [name]: bindings[name].map((x, i) => (i === bindings[name].length >> 1 ? NaN : x)) };
}

/** Both without the places where `want` is NaN. */
const numbersOf = (want: Float64Array, got: Float64Array): [Float64Array, Float64Array] => [
  want.filter((x) => !Number.isNaN(x)),
  got.filter((_, i) => !Number.isNaN(want[i])),
];

/** Bytes of all leaves and so much of what the activations take. */
function budget({ graph, memory }: Scheduled, traced: Graph, share: number): number {
  const leaves = [...nodesOf(traced), ...nodesOf(graph)].filter(
    ({ attrs, op }) => attrs.name !== undefined || (op === 'constant' && attrs.data),
  );
  const bytes = new Map(
    leaves.map((node) => [`${node.op} ${String(node.attrs.name ?? node.id)}`, byteSize(node.type)]),
  );
  return [...bytes.values()].reduce((sum, n) => sum + n, 0) + Math.floor(share * memory.peakBytes);
}
