/** The conditions that rules may ask for, by name. They say where a rewrite pays; that it is right, the proof test shows. */
import { byteSize, formatShape, labelOf, labelsOf, sameShape, type Node } from '../ir/index.ts';
import { joinedAxis, multipliesRows, opDef } from '../ops/index.ts';
import { isApart, type Apart } from './packs.ts';

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

const isJoin = (node: Node): boolean => joinedAxis(node) !== undefined;

const isOfParams = (node: Node): boolean => (isJoin(node) ? node.inputs.every(isOfParams) : node.op === 'param');

const paramsOf = (node: Node): Node[] => (isJoin(node) ? node.inputs.flatMap(paramsOf) : [node]);

/** The products and linears that read a value through views and pointwise ops alone. */
function firstProducts(value: Node, { users }: Surroundings): Set<Node> {
  const products = new Set<Node>();
  const seen = new Set<Node>();
  const stack = [value];
  while (stack.length) {
    for (const user of users.get(stack.pop()!) ?? []) {
      if (seen.has(user)) continue;
      seen.add(user);
      if (isProduct(user)) products.add(user);
      const { kind } = opDef(user.op);
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

/** Whether views and pointwise ops lead from one that is such to a value. */
function leadsFrom(value: Node, isSuch: (node: Node) => boolean): boolean {
  const seen = new Set([value]);
  for (const node of seen) {
    if (isSuch(node)) return true;
    const { kind } = opDef(node.op);
    if (kind === 'view' || kind === 'pointwise') node.inputs.forEach((input) => seen.add(input));
  }
  return false;
}

const isProduct = (node: Node): boolean => opDef(node.op).kind === 'contract' || multipliesRows(node);

/** What reduces rows, or an op that stands for such. */
const isStatistic = (node: Node): boolean =>
  opDef(node.op).kind === 'reduce' || (opDef(node.op).kind === 'composite' && !multipliesRows(node));

function areReadTogether(values: readonly Node[], around: Surroundings): boolean {
  const [first, ...others] = values.map((value) => firstProducts(value, around));
  return [...first].some((product) => others.every((products) => products.has(product)));
}

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
  no_softmax: {
    doc: 'No value is a softmax, or a view of one: of two in a product, either could be the weights.',
    obstacle(values) {
      const value = values.find((v) => sourcesOf(v).some(({ op }) => op === 'softmax'));
      return value && `${labelOf(value)} is of a softmax`;
    },
  },
  of_product: {
    doc: 'Each value is made of a product by views and pointwise ops alone, as the scores of attention are.',
    obstacle(values) {
      const value = values.find((v) => !leadsFrom(v, isProduct));
      return value && `${labelOf(value)} is of no product`;
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
    doc: 'Each value is a parameter, or joins such, each in one place: they can lie side by side from load on.',
    obstacle(values, { updated, apart }) {
      const value = values.find((v) => !isOfParams(v));
      if (value) return `${labelOf(value)} is no parameter`;
      const params = values.flatMap(paramsOf);
      if (new Set(params).size < params.length) return `a parameter comes twice in ${labelsOf(values)}`;
      if (isApart(params, apart)) return `the model needs one of ${labelsOf(values)} elsewhere`;
      const trained = params.filter((param) => updated.has(param));
      if (!trained.length) return undefined;
      // Precision too is one for all: what no graph updates may be stored as f16 (precision.ts).
      const still = params.find((param) => !updated.has(param));
      return still && `${labelOf(trained[0])} is updated by the graph, and ${labelOf(still)} is not`;
    },
  },
  frozen: {
    doc: 'The graph updates no value, and no parameter that one joins.',
    obstacle(values, { updated }) {
      const value = values.flatMap(paramsOf).find((v) => updated.has(v));
      return value && `${labelOf(value)} is updated by the graph`;
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
      return areReadTogether(values, around) ? undefined : `no one product reads ${labelsOf(values)}`;
    },
  },
  learns_together: {
    doc: 'Where the graph updates the first, weights, the gradients of the second wait for one another at little cost: they are no larger, or due together, as some product reads all the values.',
    obstacle(values, around) {
      const weights = values.filter((v) => isOfParams(v));
      const others = values.filter((v) => !isOfParams(v));
      if (!weights.flatMap(paramsOf).some((param) => around.updated.has(param))) return undefined;
      const bytes = (of: readonly Node[]) => of.reduce((sum, v) => sum + byteSize(v.type), 0);
      if (bytes(others) <= bytes(weights) || areReadTogether(others, around)) return undefined;
      return `the gradients of ${labelsOf(others)} would be in memory all at once: ${bytes(others)} bytes, for weights of ${bytes(weights)}`;
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
  not_normalised: {
    doc: 'No value is made of statistics of its rows: a product computes these of its own rows, and not of values side by side.',
    obstacle(values) {
      const value = values.find((v) => leadsFrom(v, isStatistic));
      return value && `${labelOf(value)} is normalised by its rows`;
    },
  },
  normalised: {
    doc: 'Each value is made of statistics of its rows: several products of it would each compute these, or read it from memory.',
    obstacle(values) {
      const value = values.find((v) => !leadsFrom(v, isStatistic));
      return value && `${labelOf(value)} is not normalised by its rows`;
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
