/** Functions of kernel IR on the values of a workgroup's invocations. */
import type { Intrinsic } from '../../compiler/kernel/ir.ts';
import { shapeOf, type ValueType } from '../../compiler/kernel/types.ts';
import {
  added,
  lanewise,
  multiplied,
  multiplyAccumulate,
  numbersBy,
  partsOf,
  zip,
  type Fragments,
  type Lanes,
  type Value,
} from './kernel-values.ts';

/** How many there are, in a subgroup too, and which of them are inside of all open ifs. */
export interface Invocations {
  readonly lanes: number;
  readonly subgroup: number;
  readonly active: Uint8Array;
}

/** The function of values, the first of them of a type. */
export function callIntrinsic(
  fn: Intrinsic,
  given: readonly Value[],
  type: ValueType,
  { lanes, subgroup, active }: Invocations,
): Value {
  const [a, b, c] = given as Lanes[];
  const over = (combine: (x: number, y: number) => number) => {
    const combined = new Float64Array(lanes);
    for (let first = 0; first < lanes; first += subgroup) {
      const own = a.subarray(first, first + subgroup).filter((_, i) => active[first + i]);
      combined.fill(own.length ? own.reduce(combine) : NaN, first, first + subgroup);
    }
    return combined;
  };
  const of = (lane: number, other: number) => lane - (lane % subgroup) + other;
  switch (fn) {
    case 'min':
      return zip(a, b, lanewise(Math.min));
    case 'max':
      return zip(a, b, lanewise(Math.max));
    case 'exp':
      return zip(a, a, (x) => x.map(Math.exp));
    case 'exp2':
      return zip(a, a, (x) => x.map((y) => 2 ** y));
    case 'fma':
      return zip(zip(a, b, multiplied), c, added);
    case 'dot': {
      const [x, y] = given as (readonly Lanes[])[];
      return x.reduce((sum, part, i) => added(sum, multiplied(part, y[i])), new Float64Array(lanes));
    }
    case 'select':
      return zip(a, b, (x, y) => x.map((first, lane) => (c[lane] ? y[lane] : first)));
    case 'subgroupAdd':
      return over(numbersBy('+', type));
    case 'subgroupMul':
      return over(numbersBy('*', type));
    case 'subgroupMin':
      return over((x, y) => Math.min(x, y));
    case 'subgroupMax':
      return over((x, y) => Math.max(x, y));
    case 'subgroupShuffleXor':
      return a.map((_, lane) => a[of(lane, (lane % subgroup) ^ b[lane])]);
    case 'subgroupBroadcast':
    case 'subgroupShuffle':
      return given[0] instanceof Float64Array
        ? a.map((_, lane) => a[of(lane, b[lane])])
        : partsOf(given[0]).map((part) => part.map((_, lane) => part[of(lane, b[lane])]));
    case 'multiplyAccumulate': {
      const [left, right, sum] = given as unknown as Fragments[];
      return multiplyAccumulate(left, right, sum);
    }
    default: {
      const parts = shapeOf(fn).lanes;
      return given.length === 1 ? Array<Lanes>(parts).fill(a) : given.flatMap(partsOf);
    }
  }
}
