/** Regions: fusion groups with what their kernels bind (bind.ts). */
import type { Node, Shape, TensorType } from '../ir/index.ts';
import { attrList } from '../ops/index.ts';
import type { FusionGroup } from './group.ts';
import { typeOfSpan, type Span } from './windows.ts';

/** Several values bound as one buffer. */
interface Together<Part extends { readonly offset: number }> {
  /** What is known of each, among that the elements before it. */
  readonly parts: ReadonlyMap<Node, Part>;
  /** Elements of all that is bound. */
  readonly elements: number;
  readonly isWritten: boolean;
}

/** Several states of a bundle (bundles.ts), and the one that each value read or written there is or becomes. */
export interface BoundStates extends Together<{ readonly state: string; readonly offset: number }> {
  /** Names of all states of the bundle. */
  readonly states: readonly string[];
}

/** Parts of a whole that a kernel writes, and would bind over each other one by one (memory/stretches.ts). */
export interface BoundParts extends Together<{ readonly offset: number }> {
  /** The first of them, and the bytes bound before it. */
  readonly first: Node;
  readonly lead: number;
}

export type Bound = BoundStates | BoundParts;

/** Its `results` are what it writes, in topological order. */
export interface Region extends FusionGroup {
  /** Values read from memory, in order of first use. */
  readonly reads: readonly Node[];
  /** Of values among `reads` of which it reads a part only, what it binds (windows.ts). */
  readonly spans: ReadonlyMap<Node, Span>;
  /** Everything computed in the kernel, in topological order. */
  readonly members: readonly Node[];
  /** Values that results are computed in place of: read from the result's buffer, and not among `reads` (memory/reuse.ts). */
  readonly replaces: ReadonlyMap<Node, Node>;
  /** What it binds as one, with some of `reads` and `results` in it. */
  readonly bundles: readonly Bound[];
  /** Of values that lie where no binding starts (in a pack, in a whole), the elements bound before them (memory/leads.ts). */
  readonly leads: ReadonlyMap<Node, number>;
}

/** What a kernel binds, in order: values by themselves, then those that are bound as one. */
export function bindingsOf({ reads, results, bundles }: Region): (Node | Bound)[] {
  const isAlone = (node: Node) => !bundles.some(({ parts }) => parts.has(node));
  return [...[...reads, ...results.map(({ node }) => node)].filter(isAlone), ...bundles];
}

export const isBundle = (binding: Node | Bound): binding is Bound => 'parts' in binding;

export const isOfStates = (bound: Bound): bound is BoundStates => 'states' in bound;

/** All values that a kernel reads from memory, those that it overwrites last. */
export const operandsOf = ({ reads, replaces }: Region): Node[] => [...reads, ...replaces.values()];

/** Type of what a kernel binds of a value. */
export const boundType = (node: Node, { spans }: Region): TensorType => typeOfSpan(node, spans.get(node));

/** Rows and row length of a row kernel: the kept and the reduced axes of what its reductions reduce. */
export function rowAxes([first]: readonly Node[]): { shape: Shape; kept: number[]; reduced: number[] } {
  const { shape } = first.inputs[0].type;
  const reduced = [...attrList(first.attrs, 'axes')];
  return { shape, reduced, kept: shape.map((_, i) => i).filter((i) => !reduced.includes(i)) };
}
