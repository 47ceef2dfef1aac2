import { finite, kindOf, takes, whole, type Argument } from './arguments.ts';
import type { Init } from './init-kind.ts';

export type { Init };

/** All zeros. */
export const zeros: Init = { kind: 'zeros' };
/** All ones. */
export const ones: Init = { kind: 'ones' };
/** N(0, std²). */
export const normal = takes('normal', [finite('std', 0)], (std: number): Init => ({ kind: 'normal', std }));
/** U(−bound, bound). */
export const uniform = takes('uniform', [finite('bound', 0)], (bound: number): Init => ({ kind: 'uniform', bound }));

const VALUES: Argument = {
  name: 'data',
  expects: (value) => {
    const data =
      Array.isArray(value) || ArrayBuffer.isView(value) ? Array.from(value as ArrayLike<unknown>) : undefined;
    const wrong = data?.findIndex((x) => typeof x !== 'number') ?? 0;
    if (data && wrong < 0) return undefined;
    return `a flat list of numbers${data ? `: element ${wrong} is ${kindOf(data[wrong])}` : ''}`;
  },
};

/** Values of one's own, row by row. */
export const fixed = takes('fixed', [VALUES], (data: ArrayLike<number>): Init => {
  return { kind: 'data', data: Float64Array.from(data) };
});

/** Xavier (Glorot) uniform: bound √(6/(fanIn+fanOut)). Glorot & Bengio 2010. */
export const xavierUniform = takes(
  'xavierUniform',
  [whole('fanIn', 1), whole('fanOut', 1)],
  (fanIn: number, fanOut: number): Init => uniform(Math.sqrt(6 / (fanIn + fanOut))),
);
