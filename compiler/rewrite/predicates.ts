/** The conditions that rules may ask for, by name. They say where a rewrite pays; that it is right, the proof test shows. */
import { byteSize, formatShape, labelOf, labelsOf, sameShape, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { packKey, type Apart } from './packs.ts';

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
  /** Joins of parameters that other entries of the model rule out. */
  readonly apart: Apart;
  /** The most bytes one binding of the device may have. */
  readonly maxBindingBytes: number;
  /** The most buffers that a kernel may read, beside the one that it writes. */
  readonly maxReads: number;
}

interface Predicate {
  readonly doc: string;
  /** Why the values do not meet the condition; undefined when they do. */
  obstacle(values: readonly Node[], around: Surroundings): string | undefined;
}

const isPackable = (node: Node, around: Surroundings): boolean =>
  node.op === 'concat'
    ? node.inputs.every((input) => isPackable(input, around))
    : node.op === 'param' && !around.updated.has(node);

const paramsOf = (node: Node): Node[] => (node.op === 'concat' ? node.inputs.flatMap(paramsOf) : [node]);

/** The products and linears that read a value through views and pointwise ops alone. */
function firstProducts(value: Node, { users }: Surroundings): Set<Node> {
  const products = new Set<Node>();
  const seen = new Set<Node>();
  const stack = [value];
  while (stack.length) {
    for (const user of users.get(stack.pop()!) ?? []) {
      if (seen.has(user)) continue;
      seen.add(user);
      const { kind } = opDef(user.op);
      if (kind === 'contract' || user.op === 'linear') products.add(user);
      if (kind === 'view' || kind === 'pointwise') stack.push(user);
    }
  }
  return products;
}

/** What a value is a view of, numbers aside. */
const sourcesOf = (value: Node): Node[] => {
  if (opDef(value.op).kind === 'view') return value.inputs.flatMap(sourcesOf);
  return value.op === 'constant' && typeof value.attrs.value === 'number' ? [] : [value];
};

export const PREDICATES: Readonly<Record<string, Predicate>> = {
  only_use: {
    doc: 'Each value has one reader, the match, and is not returned: after the rewrite nobody computes it.',
    obstacle(values, { users, returned }) {
      const value = values.find((v) => returned.has(v) || users.get(v)?.length !== 1);
      if (!value) return undefined;
      const readers = users.get(value) ?? [];
      return returned.has(value)
        ? `${labelOf(value)} is a result of the graph`
        : `${labelOf(value)} has ${readers.length} readers (${labelsOf(readers)})`;
    },
  },
  no_update: {
    doc: 'No value is the next one of state: that is written where the state lies, and would be copied there from a merged one.',
    obstacle(values, { updates }) {
      const value = values.find((v) => updates.has(v));
      return value && `${labelOf(value)} is the next value of state`;
    },
  },
  packable: {
    doc: 'Each value is a parameter this graph does not update, or joins such, each in one place: what is made of them can be made at load.',
    obstacle(values, around) {
      const value = values.find((v) => !isPackable(v, around));
      if (value) return `${labelOf(value)} is ${around.updated.has(value) ? 'updated by the graph' : 'no parameter'}`;
      const params = values.flatMap(paramsOf);
      if (new Set(params).size < params.length) return `a parameter comes twice in ${labelsOf(values)}`;
      return around.apart.has(packKey(params)) ? `the model needs one of ${labelsOf(values)} elsewhere` : undefined;
    },
  },
  alike: {
    doc: 'All values have one shape: pieces of what they are joined to are interchangeable, and their readers share kernels.',
    obstacle([first, ...others]) {
      const value = others.find((v) => !sameShape(v.type.shape, first.type.shape));
      return value && [first, value].map((v) => `${labelOf(v)} is ${formatShape(v.type.shape)}`).join(', ');
    },
  },
  read_together: {
    doc: 'Some product reads all the values, through views and pointwise ops alone.',
    obstacle(values, around) {
      const [first, ...others] = values.map((value) => firstProducts(value, around));
      const shared = [...first].some((product) => others.every((products) => products.has(product)));
      return shared ? undefined : `no one product reads ${labelsOf(values)}`;
    },
  },
  read_from_few: {
    doc: 'Seen through views, all the values together come from no more buffers than a kernel can read.',
    obstacle(values, { maxReads }) {
      const sources = new Set(values.flatMap(sourcesOf));
      return sources.size > maxReads
        ? `${labelsOf(values)} come from ${sources.size} buffers, a kernel of the device reads ${maxReads}`
        : undefined;
    },
  },
  one_per_row: {
    doc: 'Each value is computed, and has one number for a row of the scores, or for all of them.',
    obstacle(values) {
      const value = values.find(({ op, type: { shape } }) => op === 'constant' || (shape.at(-1) ?? 1) !== 1);
      return value && `${labelOf(value)} is ${formatShape(value.type.shape)}, not one computed number a row`;
    },
  },
  fits_binding: {
    doc: 'All the values together fit one binding of the device.',
    obstacle(values, { maxBindingBytes }) {
      const bytes = values.reduce((sum, v) => sum + byteSize(v.type), 0);
      return bytes > maxBindingBytes
        ? `${labelsOf(values)} take ${bytes} bytes, a binding of the device ${maxBindingBytes}`
        : undefined;
    },
  },
};
