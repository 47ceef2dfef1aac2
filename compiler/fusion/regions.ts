/** Regions: fusion groups with what their kernels bind (bind.ts). */
import type { Node, Shape, TensorType } from '../ir/index.ts';
import { attrList } from '../ops/index.ts';
import type { FusionGroup } from './group.ts';
import { typeOfSpan, type Span } from './windows.ts';

/** Several states of a bundle, bound as one buffer (bundles.ts). */
export interface Bound {
  /** Names of all states of the bundle. */
  readonly states: readonly string[];
  /** The state that each value read or written there is or becomes, and the elements before it. */
  readonly parts: ReadonlyMap<Node, { readonly state: string; readonly offset: number }>;
  /** Elements of the bundle. */
  readonly elements: number;
  readonly isWritten: boolean;
}

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
  /** Bundles of state that it binds, with some of `reads` and `results` in them. */
  readonly bundles: readonly Bound[];
  /** Of values that lie where no binding starts (in a pack, in a whole), the elements bound before them (memory/leads.ts). */
  readonly leads: ReadonlyMap<Node, number>;
}

/** What a kernel binds, in order: values with a buffer of their own, then bundles. */
export function bindingsOf({ reads, results, bundles }: Region): (Node | Bound)[] {
  const isAlone = (node: Node) => !bundles.some(({ parts }) => parts.has(node));
  return [...[...reads, ...results.map(({ node }) => node)].filter(isAlone), ...bundles];
}

export const isBundle = (binding: Node | Bound): binding is Bound => 'parts' in binding;

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
