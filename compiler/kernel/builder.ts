/**
 * Builds kernel IR. Expressions are interned, so equal ones are one object; a `let` lands in the outermost block where all
 * it reads is defined (its level), which hoists loop-invariant work as it is written; asking for the same `let` twice while
 * it is in scope gives the first one.
 */
import { attrsKey, type Attrs, type DType } from '../ir/index.ts';
import { runKernelPasses } from './passes.ts';
import { RESERVED } from './reserved.ts';
import type {
  BinaryOp,
  Buffer,
  ElementType,
  Expr,
  FragmentPlace,
  FragmentType,
  Intrinsic,
  Kernel,
  ScalarType,
  SharedArray,
  Stmt,
  ValueType,
  Variable,
} from './ir.ts';
import { shapeOf, vec, withScalar } from './types.ts';

interface Block {
  /** Whether only the invocations for which a condition holds run it. */
  readonly guarded: boolean;
  readonly stmts: Stmt[];
  readonly lets: Map<number, Expr>;
  /** Values of graph nodes at indices, valid while the block is open. */
  readonly values: Map<string, Expr>;
}

type WithoutIdentity<T> = T extends unknown ? Omit<T, 'id'> : never;

export const computeType = (dtype: DType): ScalarType => (dtype === 'f16' ? 'f32' : dtype);

export class KernelBuilder {
  readonly buffers: Buffer[] = [];
  readonly shared: SharedArray[] = [];
  private readonly blocks: Block[] = [{ guarded: false, stmts: [], lets: new Map(), values: new Map() }];
  private readonly interned = new Map<string, Expr>();
  private readonly names = new Set<string>();
  private nextId = 0;
  private subgroups = false;

  /** Depth of the block being written. */
  get level(): number {
    return this.blocks.length - 1;
  }

  /** A fresh identifier close to `hint`. */
  fresh(hint: string): string {
    const clean =
      hint
        .replace(/[^A-Za-z0-9_]/g, '_')
        .replace(/^(?=\d)/, '_')
        .replace(/^_+/, '')
        .slice(0, 40) || 'v';
    const base = /^\d/.test(clean) ? `v${clean}` : clean;
    let name = base;
    for (let i = 1; RESERVED.has(name) || this.names.has(name); i++) name = `${base}_${i}`;
    this.names.add(name);
    return name;
  }

  private intern(key: string, expr: WithoutIdentity<Expr>): Expr {
    const known = this.interned.get(key);
    if (known) return known;
    const made = { ...expr, id: this.nextId++ } as Expr;
    this.interned.set(key, made);
    return made;
  }

  literal(value: number | boolean, type: ScalarType): Expr {
    const key = `#${type}${Object.is(value, -0) ? '-0' : value}`;
    return this.intern(key, { kind: 'literal', value, type, level: 0 });
  }

  u32 = (value: number): Expr => this.literal(value, 'u32');

  /** A name defined outside the builder's control (builtins) or by it (lets, loop indices). */
  name(name: string, type: ValueType, level: number): Expr {
    return this.intern(`$${name}`, { kind: 'name', name, type, level });
  }

  binary(op: BinaryOp, a: Expr, b: Expr): Expr {
    const compares = op.length === 2 || op === '<' || op === '>';
    const type = compares ? 'bool' : a.type;
    return this.intern(`(${a.id}${op}${b.id})`, { kind: 'binary', op, a, b, type, level: Math.max(a.level, b.level) });
  }

  call(fn: Intrinsic, args: readonly Expr[], type: ValueType = args[0].type): Expr {
    const subgroup = fn.startsWith('subgroup') || fn === 'multiplyAccumulate';
    if (subgroup) this.subgroups = true;
    // Subgroup operations stay where they are written: hoisting could move them out of (or into) divergent flow.
    const level = subgroup ? this.level : levelOf(args);
    return this.intern(`${fn}@${subgroup ? level : ''}(${ids(args)})`, { kind: 'call', fn, args, type, level });
  }

  op(op: string, args: readonly Expr[], attrs: Attrs, dtype: DType): Expr {
    const suffix = Object.keys(attrs).length ? attrsKey(attrs) : '';
    const type = computeType(dtype);
    return this.intern(`${op}${suffix}:${type}(${ids(args)})`, {
      kind: 'op',
      op,
      args,
      attrs,
      type,
      level: levelOf(args),
    });
  }

  /** An op whose helper gives four results at once; `component` takes one. */
  vectorOp(op: string, args: readonly Expr[]): Expr {
    return this.intern(`${op}:vec4u(${ids(args)})`, {
      kind: 'op',
      op,
      args,
      attrs: {},
      type: 'vec4u',
      level: levelOf(args),
    });
  }

  /** What lies in a buffer; f16 as f32 unless `scalar` says otherwise. */
  load(buffer: Buffer, index: Expr, scalar: ScalarType = computeType(buffer.dtype)): Expr {
    return this.loaded(buffer, index, buffer.fours === true ? vec(scalar, 4) : scalar);
  }

  /** Four elements that lie side by side, of a buffer that may be declared in fours: `index` counts these. */
  loadFour = (buffer: Buffer, index: Expr): Expr => this.loaded(buffer, index, vec(computeType(buffer.dtype), 4));

  private loaded(buffer: Buffer, index: Expr, type: ElementType): Expr {
    const key = `${buffer.name}[${index.id}]:${type}`;
    return this.intern(key, { kind: 'load', buffer, index, type, level: index.level });
  }

  /** A read of workgroup memory: never merged with another or hoisted, since stores and barriers lie between. */
  loadShared(array: SharedArray, index: Expr, scalar = computeType(shapeOf(array.type).of)): Expr {
    const type = withScalar(array.type, scalar);
    return { id: this.nextId++, kind: 'shared', array, index, type, level: this.level };
  }

  component(of: Expr, lane: number): Expr {
    return { id: this.nextId++, kind: 'component', of, lane, type: shapeOf(of.type).of, level: of.level };
  }

  /** A fragment of one number. */
  fragmentOf(value: number, type: FragmentType): Expr {
    this.subgroups = true;
    return this.intern(`${value}:${type}`, { kind: 'fill', value, type, level: 0 });
  }

  zeroFragment = (type: FragmentType): Expr => this.fragmentOf(0, type);

  /** All invocations of a subgroup load it together, and none of them has an element of it. */
  loadFragment(type: FragmentType, place: FragmentPlace): Expr {
    this.subgroups = true;
    return { id: this.nextId++, kind: 'loadFragment', ...place, type, level: this.level };
  }

  storeFragment(value: Expr, place: FragmentPlace): void {
    this.push({ kind: 'storeFragment', value, ...place });
  }

  /** left · right + sum. */
  multiplyAccumulate = (left: Expr, right: Expr, sum: Expr): Expr =>
    this.call('multiplyAccumulate', [left, right, sum], sum.type);

  /** A private array filled with values: lets an epilogue loop over accumulators that the main loop names one by one. */
  privateArray(hint: string, values: readonly Expr[]): SharedArray {
    const array = { name: this.fresh(hint), elements: values.length, type: values[0].type as ElementType };
    this.push({ kind: 'array', array, values });
    return array;
  }

  /** Leaves the shader for invocations beyond the work; only where no barrier follows. */
  returnIf(condition: Expr): void {
    this.push({ kind: 'returnIf', condition });
  }

  convert(of: Expr, type: ElementType): Expr {
    return of.type === type ? of : this.intern(`${type}<${of.id}>`, { kind: 'convert', of, type, level: of.level });
  }

  /** Binds an expression to a name in the outermost block that can hold it. Names and literals pass through. */
  bind(hint: string, value: Expr): Expr {
    if (value.kind === 'name' || value.kind === 'literal') return value;
    for (const block of this.blocks) {
      const known = block.lets.get(value.id);
      if (known) return known;
    }
    const block = this.blocks[value.level];
    const name = this.fresh(hint);
    block.stmts.push({ kind: 'let', name, value });
    const bound = this.name(name, value.type, value.level);
    block.lets.set(value.id, bound);
    return bound;
  }

  /** The expression remembered under `key` in an open block, or `make()`'s, remembered where it is valid. */
  remember(key: string, make: () => Expr): Expr {
    for (const block of this.blocks) {
      const known = block.values.get(key);
      if (known) return known;
    }
    const made = make();
    this.blocks[made.level].values.set(key, made);
    return made;
  }

  variable(hint: string, value: Expr): Variable {
    const variable = { name: this.fresh(hint), type: value.type };
    this.push({ kind: 'var', variable, value });
    return variable;
  }

  /** The value a variable has now. */
  read(variable: Variable): Expr {
    return { id: this.nextId++, kind: 'name', name: variable.name, type: variable.type, level: this.level };
  }

  assign(variable: Variable, value: Expr): void {
    this.push({ kind: 'assign', variable, value });
  }

  /** A loop of a constant count (Dawn proves it finite and adds no guard); a single round is written straight. */
  loop(hint: string, count: number, body: (index: Expr) => void, rolled = false): void {
    if (count === 1) return body(this.u32(0));
    const index = this.fresh(hint);
    this.block(
      () => body(this.name(index, 'u32', this.level)),
      (stmts) => ({ kind: 'for', index, count, rolled, body: stmts }),
    );
  }

  when(condition: Expr, body: () => void): void {
    this.block(body, (stmts) => ({ kind: 'if', condition, body: stmts }), true);
  }

  /**
   * The expression, for use under the innermost open condition alone: what is read at it is not hoisted out of there. For indices that are
   * inside of an array only because the condition holds.
   */
  confined(expr: Expr): Expr {
    const level = this.blocks.findLastIndex(({ guarded }) => guarded);
    if (expr.level >= level) return expr;
    return this.intern(`^${expr.id}@${level}`, { ...expr, level });
  }

  private block(body: () => void, close: (stmts: Stmt[]) => Stmt, guarded = false): void {
    this.blocks.push({ guarded, stmts: [], lets: new Map(), values: new Map() });
    body();
    this.push(close(this.blocks.pop()!.stmts));
  }

  store(buffer: Buffer, index: Expr, value: Expr): void {
    this.push({ kind: 'store', buffer, index, value });
  }

  storeShared(array: SharedArray, index: Expr, value: Expr): void {
    this.push({ kind: 'storeShared', array, index, value });
  }

  barrier(): void {
    this.push({ kind: 'barrier' });
  }

  comment(text: string): void {
    this.push({ kind: 'comment', text });
  }

  private push(stmt: Stmt): void {
    this.blocks[this.blocks.length - 1].stmts.push(stmt);
  }

  buffer(hint: string, dtype: DType, elements: number, access: Buffer['access'], fours?: Buffer['fours']): Buffer {
    const buffer = { name: this.fresh(hint), dtype, elements, access, ...(fours && { fours }) };
    this.buffers.push(buffer);
    return buffer;
  }

  sharedArray(hint: string, elements: number, type: ElementType = 'f32'): SharedArray {
    const array = { name: this.fresh(hint), elements, type };
    this.shared.push(array);
    return array;
  }

  /** `subgroup`: those of a workgroup of several, of a size that the kernel asks for unless told. */
  finish(
    workgroupSize: number,
    grid: readonly [number, number, number],
    subgroup?: { readonly size: number; readonly sized?: boolean },
  ): Kernel {
    const { buffers, shared } = this;
    return runKernelPasses({
      buffers,
      shared,
      workgroupSize,
      grid,
      usesSubgroups: this.subgroups,
      ...(subgroup && { subgroupSize: subgroup.size, subgroupSized: subgroup.sized ?? true }),
      body: this.blocks[0].stmts,
    });
  }
}

const ids = (args: readonly Expr[]): string => args.map((x) => x.id).join(',');
const levelOf = (args: readonly Expr[]): number => args.reduce((level, x) => Math.max(level, x.level), 0);
