/** The conditions that rules may ask for, by name. They say where a rewrite pays; that it is right, the proof test shows. */
import { byteSize, sameShape, type Node } from '../ir/index.ts';

/** What conditions may look at. */
export interface Surroundings {
  /** Who reads each value of the graph. */
  readonly users: ReadonlyMap<Node, readonly Node[]>;
  /** Values that leave the graph. */
  readonly returned: ReadonlySet<Node>;
  /** Parameters and state that the graph replaces. */
  readonly updated: ReadonlySet<Node>;
  /** The values that replace them. */
  readonly updates: ReadonlySet<Node>;
  /** The most bytes one binding of the device may have. */
  readonly maxBindingBytes: number;
}

interface Predicate {
  readonly doc: string;
  holds(values: readonly Node[], around: Surroundings): boolean;
}

const isPackable = (node: Node, around: Surroundings): boolean =>
  node.op === 'concat'
    ? node.inputs.every((input) => isPackable(input, around))
    : node.op === 'param' && !around.updated.has(node);

export const PREDICATES: Readonly<Record<string, Predicate>> = {
  only_use: {
    doc: 'Each value has one reader, the match, and is not returned: after the rewrite nobody computes it.',
    holds: (values, { users, returned }) => values.every((v) => !returned.has(v) && users.get(v)?.length === 1),
  },
  no_update: {
    doc: 'No value is the next one of state: that is written where the state lies, and would be copied there from a merged one.',
    holds: (values, { updates }) => values.every((v) => !updates.has(v)),
  },
  packable: {
    doc: 'Each value is a parameter this graph does not update, or joins such: what is made of them can be made at load.',
    holds: (values, around) => values.every((v) => isPackable(v, around)),
  },
  alike: {
    doc: 'All values have one shape: pieces of what they are joined to are interchangeable, and their readers share kernels.',
    holds: (values) => values.every((v) => sameShape(v.type.shape, values[0].type.shape)),
  },
  fits_binding: {
    doc: 'All the values together fit one binding of the device.',
    holds: (values, { maxBindingBytes }) => values.reduce((sum, v) => sum + byteSize(v.type), 0) <= maxBindingBytes,
  },
};
