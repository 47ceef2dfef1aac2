/**
 * What must hold of kernel IR: names are defined before they are read, types agree, no access of an array is sure to leave it, and what
 * all invocations do together (barriers, subgroup operations, fragments) stands where all of them come by.
 */
import type { Buffer, Expr, FragmentPlace, Kernel, SharedArray, Stmt } from './ir.ts';
import { Ranges } from './ranges.ts';
import { isFragment, shapeOf, type ElementType, type ValueType } from './types.ts';
import { binaryType, callType, componentType, convertType, literalType, opType, type Fail } from './typing.ts';
import { printExpr, printStmt } from './print.ts';
import { childrenOf, isCollective, operandsOf, some } from './walk.ts';

/** A broken rule, and the statement that breaks it. */
export class KernelError extends Error {}

const checked = new WeakSet<Kernel>();

/** Throws a KernelError, or returns the kernel. */
export function verifyKernel(kernel: Kernel): Kernel {
  if (checked.has(kernel)) return kernel;
  new Verifier(kernel).run();
  checked.add(kernel);
  return kernel;
}

/** What is known of a name. */
interface Known {
  readonly type: ValueType;
  /** Whether all invocations of a workgroup have the same. */
  readonly isUniform: boolean;
  readonly isVariable?: true;
}

/** Where a statement stands. */
interface Place {
  readonly names: Map<string, Known>;
  readonly arrays: Map<string, SharedArray>;
  ranges: Ranges;
  /** Whether all invocations come by that have not returned. */
  readonly isUniform: boolean;
}

class Verifier {
  private readonly kernel: Kernel;
  private readonly taken = new Set<string>();
  private stmt?: Stmt;
  /** Whether some invocations may have returned, and others not. */
  private areSomeGone = false;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  run(): void {
    const { buffers, shared, body, workgroupSize, grid, subgroupSize = 1 } = this.kernel;
    const counts = { 'a workgroup': [workgroupSize], 'a grid': grid, 'a subgroup': [subgroupSize] };
    for (const [what, sizes] of Object.entries(counts))
      if (!sizes.every(isCount)) this.fail(`${what} of ${sizes.join('×')}`);
    for (const { name, elements } of [...buffers, ...shared])
      if (!isCount(elements)) this.fail(`${name} of ${elements}`);
    const builtins = ['lane', 'group.x', 'group.y', 'group.z'];
    const names = builtins.map((name): [string, Known] => [name, { type: 'u32', isUniform: name !== 'lane' }]);
    for (const { name } of [...buffers, ...shared]) this.take(name);
    const arrays = new Map(shared.map((array) => [array.name, array]));
    this.block(body, { names: new Map(names), arrays, ranges: Ranges.of(this.kernel), isUniform: true });
  }

  private readonly fail: Fail = (rule) => {
    const at = this.stmt ? `: ${printStmt(this.stmt)[0].trim()}` : '';
    throw new KernelError(`internal error: kernel IR: ${rule}${at}`);
  };

  private take(name: string): void {
    if (this.taken.has(name)) this.fail(`${name} is defined twice`);
    this.taken.add(name);
  }

  private block(stmts: readonly Stmt[], place: Place): void {
    for (const stmt of stmts) {
      this.stmt = stmt;
      for (const expr of operandsOf(stmt)) this.expr(expr, place);
      this.statement(stmt, place);
      place.ranges = place.ranges.after(stmt);
    }
  }

  private statement(stmt: Stmt, place: Place): void {
    switch (stmt.kind) {
      case 'let':
        return this.define(stmt.name, { type: stmt.value.type, isUniform: this.isUniform(stmt.value, place) }, place);
      case 'var':
        if (stmt.variable.type !== stmt.value.type) this.fail('a variable starts as its type says');
        return this.define(stmt.variable.name, { type: stmt.value.type, isUniform: false, isVariable: true }, place);
      case 'assign': {
        const known = place.names.get(stmt.variable.name);
        if (!known?.isVariable) this.fail(`${stmt.variable.name} is no variable here`);
        if (known.type !== stmt.value.type) this.fail(`a ${stmt.value.type} is assigned to a ${known.type}`);
        return;
      }
      case 'for':
        if (!isCount(stmt.count)) this.fail('a loop has at least one round');
        return this.loop(stmt, place);
      case 'if':
        if (stmt.condition.type !== 'bool') this.fail('a condition is a bool');
        return this.inner(stmt, place, place.isUniform && this.isUniform(stmt.condition, place));
      case 'returnIf':
        if (stmt.condition.type !== 'bool') this.fail('a condition is a bool');
        this.areSomeGone ||= !place.isUniform || !this.isUniform(stmt.condition, place);
        return;
      case 'store':
        if (stmt.buffer.access !== 'read_write') this.fail(`${stmt.buffer.name} is bound for reading`);
        this.access(stmt.buffer, elementOf(stmt.buffer, stmt.value.type), stmt.index, place);
        return this.holds(elementOf(stmt.buffer, stmt.value.type), stmt.value.type);
      case 'storeShared':
        this.access(stmt.array, stmt.array.type, stmt.index, place);
        return this.holds(stmt.array.type, stmt.value.type);
      case 'storeFragment':
        if ('access' in stmt.array && stmt.array.access !== 'read_write')
          this.fail(`${stmt.array.name} is bound for reading`);
        this.checkTogether(place);
        return this.fragment(stmt, stmt.value.type, place);
      case 'array':
        if (stmt.values.some(({ type }) => type !== stmt.array.type))
          this.fail(`values of a ${stmt.array.type} array are`);
        if (stmt.values.length !== stmt.array.elements)
          this.fail(`${stmt.values.length} values of ${stmt.array.elements}`);
        this.take(stmt.array.name);
        place.arrays.set(stmt.array.name, stmt.array);
        return;
      case 'barrier':
        return this.checkTogether(place);
      case 'comment':
    }
  }

  private define(name: string, known: Known, { names }: Place): void {
    this.take(name);
    names.set(name, known);
  }

  private inner(
    stmt: Stmt & { body: readonly Stmt[] },
    { names, arrays, ranges }: Place,
    isUniform: boolean,
    prepare?: (names: Map<string, Known>) => void,
  ): void {
    const own = new Map(names);
    prepare?.(own);
    this.block(stmt.body, { names: own, arrays: new Map(arrays), ranges: ranges.inside(stmt), isUniform });
  }

  /** Who returns in one round does not come by in the next. */
  private loop(stmt: Stmt & { kind: 'for' }, place: Place): void {
    const wereAllThere = !this.areSomeGone;
    this.inner(stmt, place, place.isUniform, (names) => {
      this.take(stmt.index);
      names.set(stmt.index, { type: 'u32', isUniform: true });
    });
    if (!wereAllThere || !this.areSomeGone || stmt.count === 1) return;
    this.stmt = firstTogether(stmt.body) ?? this.stmt;
    if (firstTogether(stmt.body)) this.checkTogether(place);
  }

  /** For what all invocations do together. */
  private checkTogether({ isUniform }: Place): void {
    if (isUniform && !this.areSomeGone) return;
    const what = this.stmt!.kind === 'barrier' ? 'a barrier' : 'what a subgroup does together';
    this.fail(`${what} stands where all invocations come by`);
  }

  /** Whether all invocations have the same value: none comes from the lane, a variable, or memory that invocations write. */
  private isUniform(expr: Expr, place: Place): boolean {
    if (expr.kind === 'name') return place.names.get(expr.name)!.isUniform;
    if (expr.kind === 'shared' || isCollective(expr)) return false;
    if (expr.kind === 'load' && expr.buffer.access === 'read_write') return false;
    return childrenOf(expr).every((child) => this.isUniform(child, place));
  }

  private expr(expr: Expr, place: Place): void {
    childrenOf(expr).forEach((child) => this.expr(child, place));
    if (isCollective(expr)) {
      if (!this.kernel.usesSubgroups) this.fail(`a kernel that uses no subgroups has ${printExpr(expr)}`);
      this.checkTogether(place);
    }
    const type = this.typeOf(expr, place);
    if (type !== expr.type) this.fail(`${printExpr(expr)} is ${type}, written ${expr.type}`);
  }

  private typeOf(expr: Expr, place: Place): ValueType {
    switch (expr.kind) {
      case 'literal':
        return literalType(expr, this.fail);
      case 'fill':
        return isFragment(expr.type) ? expr.type : this.fail(`a ${expr.type} of ${expr.value} all over`);
      case 'convert':
        return convertType(expr, this.fail);
      case 'name': {
        const known = place.names.get(expr.name);
        return known ? known.type : this.fail(`${expr.name} is not defined here`);
      }
      case 'binary':
        return binaryType(expr, this.fail);
      case 'call':
        return callType(expr, this.fail);
      case 'op':
        return opType(expr, this.fail);
      case 'load':
        return this.read(expr, expr.buffer, elementOf(expr.buffer, expr.type), place);
      case 'shared':
        if (place.arrays.get(expr.array.name) !== expr.array) this.fail(`${expr.array.name} is not defined here`);
        return this.read(expr, expr.array, expr.array.type, place);
      case 'component':
        return componentType(expr, this.fail);
      case 'loadFragment':
        this.fragment(expr, expr.type, place);
        return expr.type;
    }
  }

  /** f16 may be read as f32. */
  private read(expr: Expr & { index: Expr }, array: Buffer | SharedArray, held: ElementType, place: Place): ValueType {
    this.access(array, held, expr.index, place);
    this.holds(held, expr.type);
    return expr.type;
  }

  private access({ name, elements }: Buffer | SharedArray, held: ElementType, index: Expr, { ranges }: Place): void {
    if (index.type !== 'u32') this.fail(`${name} is indexed by a ${index.type}`);
    const isCounted = this.kernel.buffers.some((buffer) => buffer.name === name);
    const count = isCounted ? elements / shapeOf(held).lanes : elements;
    const [least, most] = ranges.rangeOf(index);
    // Nothing lies between them where conditions contradict each other: nobody comes by.
    if (least >= count && least <= most)
      this.fail(`${name} has ${count} elements, ${printExpr(index)} is at least ${least}`);
  }

  /** Whether memory of a type holds values of another: the same, or floats of another width. */
  private holds(held: ElementType, type: ValueType): void {
    const [x, y] = [shapeOf(held), shapeOf(type)];
    const isFloat = (of: string) => of === 'f32' || of === 'f16';
    const fits = x.of === y.of || (isFloat(x.of) && isFloat(y.of));
    if (y.fragment || x.lanes !== y.lanes || !fits) this.fail(`a ${type} in an array of ${held}`);
  }

  private fragment({ array, offset, stride }: FragmentPlace, type: ValueType, place: Place): void {
    const held = 'access' in array ? elementOf(array, type) : array.type;
    if (!isFragment(type)) this.fail(`${type} is no fragment`);
    if (shapeOf(held).of !== shapeOf(type).of) this.fail(`a ${type} in an array of ${held}`);
    if (stride.type !== 'u32') this.fail('a stride is a u32');
    this.access(array, held, offset, place);
  }
}

/** What an element of a buffer is; of one that may yet be declared in fours, what is taken of it. */
export const elementOf = ({ dtype, fours }: Buffer, taken: ValueType): ElementType =>
  fours === true || (fours && shapeOf(taken).lanes === 4) ? `vec4${dtype === 'f16' ? 'h' : 'f'}` : dtype;

const isCount = (n: number): boolean => Number.isSafeInteger(n) && n > 0;

/** What all invocations do together, of statements and those in them. */
function firstTogether(stmts: readonly Stmt[]): Stmt | undefined {
  for (const stmt of stmts) {
    if (stmt.kind === 'barrier' || stmt.kind === 'storeFragment') return stmt;
    if (operandsOf(stmt).some((expr) => some(expr, isCollective))) return stmt;
    const inner = 'body' in stmt ? firstTogether(stmt.body) : undefined;
    if (inner) return inner;
  }
  return undefined;
}
