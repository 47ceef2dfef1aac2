/** What records of reductions and contractions say, and how ops are written that compute many values at once. */
import type { Attrs, DType, Node } from '../ir/index.ts';
import type { Functional } from './functional.ts';

export interface Combiner {
  /** Of no elements; ±∞ is the last value of an integer. */
  readonly identity: number;
  /** The pointwise op of two partial results. */
  readonly combine: string;
  /** What a kernel calls the result of a row. */
  readonly noun: string;
  /** What combines the partial results of a subgroup, where WGSL has it; they are shuffled otherwise. */
  readonly subgroup?: { readonly fn: SubgroupReduction; /** It may drop a NaN. */ readonly dropsNaN?: true };
}

/** What a reduction gives of no elements of a type. */
export function identityOf({ identity }: Pick<Combiner, 'identity'>, dtype: DType): number {
  const [least, most] = RANGES[dtype] ?? [-Infinity, Infinity];
  return Math.min(Math.max(identity, least), most);
}

const RANGES: Partial<Record<DType, readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
};

export type SubgroupReduction = 'subgroupAdd' | 'subgroupMul' | 'subgroupMin' | 'subgroupMax';

/**
 * What a contraction is to the plans.
 * - `product`: […, m, k] × […, k, n], batches broadcast.  - `attention`, and what is computed of its scores: `scores` row by row
 * (their statistics), `queries`, `keys`, `values` (derivatives).  - `scan`: an element of the sums up to it, along one axis.
 * - `other`: no kernel computes it, so it is expanded.
 */
export type Contraction =
  | 'product'
  | 'attention'
  | 'attention-statistics'
  | 'attention-queries'
  | 'attention-keys'
  | 'attention-values'
  | 'scan'
  | 'other';

/** An operand of what is computed for many values of a counter at once. */
export interface ManyOperand {
  readonly node: Node;
  /** Whether it has a leading axis, with an entry for each of them. */
  readonly many: boolean;
}

/** What rules for many values at once are written with. */
export interface ManyBuilder {
  readonly f: Functional;
  /** How many values. */
  readonly count: number;
  /** The op on other operands, with some attributes changed. */
  apply(inputs: readonly Node[], changed?: Attrs): Node;
  /** The operand with its leading axis, if it has one, and axes of size 1 after it up to the rank of the result: as operands that broadcast. */
  aligned(operand: ManyOperand): Node;
  /** The same, of one that must have the leading axis. */
  widened(operand: ManyOperand): Node;
  /** The operand, repeated if it is the same for all. */
  repeated(operand: ManyOperand): Node;
}
