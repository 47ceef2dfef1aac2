/** Which type an expression of kernel IR has, of those of its operands. What has none fails. */
import { DitcError } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import type { Expr, Intrinsic } from './ir.ts';
import { printExpr } from './print.ts';
import { isFragment, shapeOf, type ValueType } from './types.ts';

/** Says which rule is broken. */
export type Fail = (rule: string) => never;

type Of<K extends Expr['kind']> = Extract<Expr, { kind: K }>;

const COMPARISONS: readonly string[] = ['<', '<=', '>', '>=', '==', '!='];

const isBool = (type: ValueType): boolean => shapeOf(type).of === 'bool';
const isFloat = (type: ValueType): boolean => ['f32', 'f16'].includes(shapeOf(type).of);

export function literalType(expr: Of<'literal'>, fail: Fail): ValueType {
  const { type, value } = expr;
  const isWhole = (least: number, most: number) =>
    typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
  const fits =
    type === 'bool'
      ? typeof value === 'boolean'
      : type === 'u32'
        ? isWhole(0, 2 ** 32 - 1)
        : type === 'i32'
          ? isWhole(-(2 ** 31), 2 ** 31 - 1)
          : (type === 'f32' || type === 'f16') && typeof value === 'number';
  return fits ? type : fail(`${value} is no ${type}`);
}

export function convertType({ of, type }: Of<'convert'>, fail: Fail): ValueType {
  const fits = !isFragment(of.type) && !isFragment(type) && shapeOf(of.type).lanes === shapeOf(type).lanes;
  return fits ? type : fail(`a ${of.type} does not become a ${type}`);
}

export function componentType({ of, lane }: Of<'component'>, fail: Fail): ValueType {
  const { of: scalar, lanes } = shapeOf(of.type);
  const isThere = lanes > 1 && Number.isInteger(lane) && lane >= 0 && lane < lanes;
  return isThere ? scalar : fail(`a ${of.type} has no component ${lane}`);
}

/** Numbers are compared one with one: of vectors a comparison has several answers. */
export function binaryType({ op, a, b }: Of<'binary'>, fail: Fail): ValueType {
  const wrong = () => fail(`${a.type} ${op} ${b.type}`);
  const [x, y] = [shapeOf(a.type), shapeOf(b.type)];
  const areBools = a.type === 'bool' && b.type === 'bool';
  if (op === '&&' || op === '||') return areBools ? 'bool' : wrong();
  if (isFragment(a.type) || isFragment(b.type) || x.of !== y.of) return wrong();
  if (COMPARISONS.includes(op)) {
    const isOrdered = op !== '==' && op !== '!=';
    return x.lanes > 1 || y.lanes > 1 || (isOrdered && areBools) ? wrong() : 'bool';
  }
  if (x.of === 'bool' || (x.lanes !== y.lanes && x.lanes !== 1 && y.lanes !== 1)) return wrong();
  return x.lanes >= y.lanes ? a.type : b.type;
}

/** How many operands a function takes; a vector is made of one for all, or of its parts. */
function arityOf(fn: Intrinsic): readonly number[] {
  switch (fn) {
    case 'exp':
    case 'exp2':
    case 'subgroupAdd':
    case 'subgroupMul':
    case 'subgroupMin':
    case 'subgroupMax':
      return [1];
    case 'min':
    case 'max':
    case 'dot':
    case 'subgroupBroadcast':
    case 'subgroupShuffle':
    case 'subgroupShuffleXor':
      return [2];
    case 'fma':
    case 'select':
    case 'multiplyAccumulate':
      return [3];
    default:
      return [1, shapeOf(fn).lanes];
  }
}

export function callType({ fn, args, type }: Of<'call'>, fail: Fail): ValueType {
  const types = args.map((arg) => arg.type);
  const wrong = () => fail(`${fn}(${types.join(', ')})`);
  if (!arityOf(fn).includes(args.length)) fail(`${fn} of ${args.length} operands`);
  const [first] = types;
  /** The one type that all given have, which is as it should be. */
  const all = (given: readonly ValueType[], isRight: (type: ValueType) => boolean) =>
    given.every((t) => t === given[0] && isRight(t) && !isFragment(t)) ? given[0] : wrong();
  const isNumber = (t: ValueType) => !isBool(t);
  switch (fn) {
    case 'multiplyAccumulate':
      return multipliedType(types, fail);
    case 'dot':
      return shapeOf(all(types, (t) => isNumber(t) && shapeOf(t).lanes > 1)).of;
    case 'select':
      if (types[2] !== 'bool') fail('select chooses by a bool');
      return all(types.slice(0, 2), () => true);
    case 'subgroupBroadcast':
    case 'subgroupShuffle':
    case 'subgroupShuffleXor':
      if (types[1] !== 'u32') fail(`${fn} takes the number of a lane`);
      if (fn === 'subgroupBroadcast' && args[1].kind !== 'literal') fail(`${fn} takes a lane that is written down`);
      return all([first], isNumber);
    case 'exp':
    case 'exp2':
    case 'fma':
      return all(types, isFloat);
    case 'min':
    case 'max':
    case 'subgroupAdd':
    case 'subgroupMul':
    case 'subgroupMin':
    case 'subgroupMax':
      return all(types, isNumber);
    default:
      all(types, (t) => t === shapeOf(fn).of);
      return type === fn ? fn : fail(`${fn} is written ${type}`);
  }
}

function multipliedType(types: readonly ValueType[], fail: Fail): ValueType {
  const [left, right, sum] = types.map((type) => shapeOf(type));
  const [l, r, s] = [left, right, sum].map((shape) => shape.fragment);
  if (l?.use !== 'left' || r?.use !== 'right' || s?.use !== 'result') return fail('left · right + result');
  const agrees = l.columns === r.rows && s.rows === l.rows && s.columns === r.columns && left.of === right.of;
  return agrees ? types[2] : fail(`${types[0]} · ${types[1]} is no ${types[2]}`);
}

/** By the op's own rule; f16 is a matter of memory. */
export function opType(expr: Of<'op'>, fail: Fail): ValueType {
  const { op, args, attrs, type } = expr;
  const { kind, type: rule, wgsl } = opDef(op);
  if (kind !== 'pointwise') fail(`${op} is no pointwise op`);
  const shapes = args.map((arg) => shapeOf(arg.type));
  if (shapes.some(({ lanes, fragment }) => lanes > 1 || fragment)) fail(`${op} takes numbers: ${printExpr(expr)}`);
  if (shapeOf(type).lanes > 1) return wgsl?.vector ? type : fail(`${op} gives one value`);
  const operands = shapes.map(({ of }) => ({ dtype: of, shape: [] }));
  try {
    const { dtype } = rule(operands, attrs);
    return dtype === 'f16' ? 'f32' : dtype;
  } catch (error) {
    // A broken rule of an op is no fault of the user's here.
    throw error instanceof DitcError ? fail(error.message) : error;
  }
}
