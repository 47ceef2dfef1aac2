/** The arguments of a tensor's methods. */
import {
  argument,
  axes,
  divisor,
  dtype,
  flag,
  operand,
  optional,
  options,
  position,
  rest,
  scalar,
  tensor,
  whole,
  wholes,
  type Argument,
} from './arguments.ts';

const other = [operand('y')];
const axis = whole('axis');
const pieces = argument('parts', 'a number of pieces, or a list of their sizes', (value) => {
  const sizes = Array.isArray(value) && value.length ? (value as unknown[]) : [value];
  return sizes.every((size) => Number.isSafeInteger(size) && (size as number) >= 1);
});
const reduced = [optional(axes('axes')), options('options', [flag('keepDims')])];

export const TENSOR = {
  add: other,
  sub: other,
  mul: other,
  div: [divisor('y')],
  rem: other,
  pow: other,
  maximum: other,
  minimum: other,
  clamp: [scalar('lo'), scalar('hi')],
  eq: other,
  ne: other,
  lt: other,
  le: other,
  gt: other,
  ge: other,
  and: [tensor('y')],
  or: [tensor('y')],
  not: [],
  neg: [],
  exp: [],
  log: [],
  sqrt: [],
  rsqrt: [],
  square: [],
  cast: [dtype('dtype')],
  matmul: [tensor('y')],
  reshape: [rest(whole('shape', -1))],
  permute: [rest(whole('perm'))],
  transpose: [optional(whole('a')), optional(whole('b'))],
  unsqueeze: [axis],
  squeeze: [axis],
  broadcastTo: [rest(whole('shape', 1))],
  slice: [axis, position('start'), optional(position('end')), optional(whole('step', 1))],
  split: [pieces, optional(axis)],
  unstack: [optional(axis)],
  unfold: [axis, whole('size', 1), options('options', [whole('step', 1), whole('dilation', 1)])],
  pad: [wholes('low', 0), wholes('high', 0), optional(scalar('value'))],
  sum: reduced,
  mean: reduced,
  max: reduced,
  min: reduced,
  any: reduced,
  all: reduced,
  gather: [tensor('index')],
  detach: [],
} satisfies Readonly<Record<string, readonly Argument[]>>;
