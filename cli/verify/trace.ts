/**
 * Where values stop being finite: runs of an entry dispatch by dispatch, and the way back from a result that is not finite
 * to the dispatch that made the first such value. Infinities that lead to no result (a masked logarithm) are passed by.
 */
import type { EntryInput } from '../../compiler/emit/build.ts';
import { isFloat, type Node } from '../../compiler/ir/index.ts';
import { opDef } from '../../compiler/ops/index.ts';
import type { Resource, TensorSpec } from '../../compiler/emit/artefact.ts';
import type { Region } from '../../compiler/fusion/regions.ts';
import type { Program } from '../../runtime/program.ts';
import type { Stepper } from '../../runtime/stepper.ts';
import { resourcesOf } from './resources.ts';
import { allFinite } from '../../runtime/values.ts';

/** A dispatch whose result is not finite, and what that is computed from that was not. */
interface Spoilt {
  readonly index: number;
  readonly from: readonly Node[];
}

/** The dispatches of a run whose results are not finite, by the value they make. */
export type Trace = ReadonlyMap<Node, Spoilt>;

/** Where the way back ends: at a dispatch that read finite values only, or at a value that was there before all runs. */
export type Origin =
  | { readonly run: number; readonly index: number }
  | { readonly run: number; readonly kind: 'param' | 'state' | 'input' | 'constant'; readonly name: string };

const specOf = ({ type }: Node): TensorSpec => ({ name: '', dtype: type.dtype, shape: type.shape });

const readsFinite = async (stepper: Stepper, node: Node, resource: Resource): Promise<boolean> =>
  !isFloat(node.type.dtype) || allFinite(await stepper.read(specOf(node), resource));

/** Runs an entry whose inputs are written. `onDispatch` is told before each dispatch. */
export async function traceRun(program: Program, entry: EntryInput, onDispatch = (_: number) => {}): Promise<Trace> {
  const { dispatches } = program.manifest.entries[entry.name];
  const stepper = program.stepper(entry.name);
  const spoilt = new Map<Node, Spoilt>();
  for (const [index, dispatch] of dispatches.entries()) {
    onDispatch(index);
    const { region } = entry.regions[index];
    const { reads, results, replaces } = region;
    const lies = resourcesOf(region, dispatch);
    // What is replaced in place is gone once the dispatch has run.
    const from: Node[] = [];
    for (const { node } of results) {
      const old = replaces.get(node);
      if (old && !(await readsFinite(stepper, old, lies.get(old)!))) from.push(old);
    }
    stepper.run(index, index + 1);
    const bad: Node[] = [];
    for (const { node } of results) if (!(await readsFinite(stepper, node, lies.get(node)!))) bad.push(node);
    if (!bad.length) continue;
    for (const node of reads) if (!(await readsFinite(stepper, node, lies.get(node)!))) from.push(node);
    for (const node of bad) spoilt.set(node, { index, from: operandsBehind(node, region, from) });
  }
  stepper.finish();
  await program.sync();
  return spoilt;
}

/** Those of what a kernel read that one of its results is computed from. */
function operandsBehind(result: Node, { members }: Region, operands: readonly Node[]): Node[] {
  const behind = new Set([result]);
  // From the last down: all users of a member are settled before it.
  for (const member of [...members].reverse())
    if (behind.has(member)) member.inputs.forEach((input) => behind.add(input));
  return operands.filter((node) => behind.has(node));
}

/** The origin of a result of the last run; undefined when it is finite there. */
export function originOf(entry: EntryInput, runs: readonly Trace[], result: Node): Origin | undefined {
  let [run, node] = [runs.length - 1, madeBy(result, runs[runs.length - 1])];
  if (!runs[run].has(node)) return undefined;
  for (;;) {
    const spoilt = runs[run].get(node);
    if (spoilt) {
      const [first] = spoilt.from;
      if (!first) return { run, index: spoilt.index };
      node = madeBy(first, runs[run]);
      continue;
    }
    const { kind, name } = leafOf(node);
    const update = entry.graph.updates.find(({ state }) => state === node);
    const earlier = update && run > 0 ? madeBy(update.node, runs[run - 1]) : undefined;
    if (!earlier || !runs[run - 1].has(earlier)) return { run, kind, name };
    [run, node] = [run - 1, earlier];
  }
}

/** The value itself, or the one that it is a view of: of several, one that is in the trace. */
function madeBy(node: Node, trace: Trace): Node {
  if (trace.has(node) || opDef(node.op).kind !== 'view') return node;
  const sources = node.inputs.map((input) => madeBy(input, trace));
  return sources.find((source) => trace.has(source)) ?? sources[0];
}

function leafOf({ op, attrs }: Node): { kind: 'param' | 'state' | 'input' | 'constant'; name: string } {
  const kind = op === 'param' || op === 'state' || op === 'input' ? op : 'constant';
  return { kind, name: String(attrs.name ?? op) };
}
