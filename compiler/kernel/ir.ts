/**
 * Kernel IR: one compute shader as a structured tree of loops, typed values (types.ts), workgroup memory and barriers. WGSL is
 * written from it in one place (target/wgsl.ts), verify.ts says what must hold, print.ts shows it. Indices are u32. What is loaded of
 * f16 memory is f32 unless the load says otherwise.
 */
import type { Attrs, DType } from '../ir/index.ts';
import type { SubgroupReduction } from '../ops/index.ts';
import type { ElementType, ValueType, VectorType } from './types.ts';

export type { ElementType, FragmentType, FragmentUse, ScalarType, ValueType, VectorType } from './types.ts';

export type BinaryOp = '+' | '-' | '*' | '/' | '%' | '<' | '<=' | '>' | '>=' | '==' | '!=' | '&&' | '||';
export type Intrinsic =
  | 'min'
  | 'max'
  | 'exp'
  | 'exp2'
  | 'fma'
  | 'dot'
  | 'select'
  | SubgroupReduction
  | 'subgroupBroadcast'
  | 'subgroupShuffle'
  | 'subgroupShuffleXor'
  /** Of left, right and what there is already, fragments all: left · right + that. */
  | 'multiplyAccumulate'
  /** A vector of its parts, or of one for all. */
  | VectorType;

export type Expr = { readonly id: number; readonly type: ValueType; readonly level: number } & (
  | { readonly kind: 'literal'; readonly value: number | boolean }
  /** A builtin, a loop index, a `let` or a `var`. */
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'binary'; readonly op: BinaryOp; readonly a: Expr; readonly b: Expr }
  | { readonly kind: 'call'; readonly fn: Intrinsic; readonly args: readonly Expr[] }
  /** A pointwise op of compiler/ops applied to scalars. */
  | { readonly kind: 'op'; readonly op: string; readonly args: readonly Expr[]; readonly attrs: Attrs }
  | { readonly kind: 'load'; readonly buffer: Buffer; readonly index: Expr }
  | { readonly kind: 'shared'; readonly array: SharedArray; readonly index: Expr }
  | { readonly kind: 'component'; readonly of: Expr; readonly lane: number }
  /** A number as another type; the bits of an integer as those of another. */
  | { readonly kind: 'convert'; readonly of: Expr }
  /** A fragment of one number. */
  | { readonly kind: 'fill'; readonly value: number }
  | ({ readonly kind: 'loadFragment' } & FragmentPlace)
);

/** Where a fragment lies in an array: its first element, and from there to the next row (column, by columns). Both count elements of the array. */
export interface FragmentPlace {
  readonly array: SharedArray | Buffer;
  readonly offset: Expr;
  readonly stride: Expr;
  readonly by: 'rows' | 'columns';
}

export interface Buffer {
  readonly name: string;
  readonly dtype: DType;
  readonly elements: number;
  readonly access: 'read' | 'read_write';
  /**
   * Whether it is declared as an array of vec4f: indices count fours, and a load gives all of one. While that is `open`, the type of
   * what is loaded or stored says what an index counts; the pass `vectorize` decides.
   */
  readonly fours?: true | 'open';
  /** Declared without its length: uses of the kernel have buffers of several (emit/sharing.ts), `elements` or more. */
  readonly unsized?: boolean;
}

/** An array in workgroup memory, or private to an invocation. */
export interface SharedArray {
  readonly name: string;
  /** How many, of its type. */
  readonly elements: number;
  readonly type: ElementType;
}

export interface Variable {
  readonly name: string;
  readonly type: ValueType;
}

export type Stmt =
  | { readonly kind: 'let'; readonly name: string; readonly value: Expr }
  | { readonly kind: 'var'; readonly variable: Variable; readonly value: Expr }
  | { readonly kind: 'assign'; readonly variable: Variable; readonly value: Expr }
  /** `rolled`: the driver must not unroll it, so the count is written as a value it cannot know. */
  | {
      readonly kind: 'for';
      readonly index: string;
      readonly count: number;
      readonly rolled: boolean;
      readonly body: readonly Stmt[];
    }
  | { readonly kind: 'if'; readonly condition: Expr; readonly body: readonly Stmt[] }
  | { readonly kind: 'store'; readonly buffer: Buffer; readonly index: Expr; readonly value: Expr }
  | { readonly kind: 'storeShared'; readonly array: SharedArray; readonly index: Expr; readonly value: Expr }
  | ({ readonly kind: 'storeFragment'; readonly value: Expr } & FragmentPlace)
  | { readonly kind: 'array'; readonly array: SharedArray; readonly values: readonly Expr[] }
  | { readonly kind: 'returnIf'; readonly condition: Expr }
  | { readonly kind: 'barrier' }
  | { readonly kind: 'comment'; readonly text: string };

export interface Kernel {
  readonly buffers: readonly Buffer[];
  readonly shared: readonly SharedArray[];
  readonly workgroupSize: number;
  /** Workgroups along x, y, z. */
  readonly grid: readonly [number, number, number];
  readonly usesSubgroups: boolean;
  /** Invocations of a subgroup, where a workgroup has several: subgroup i has those numbered from i·size on. */
  readonly subgroupSize?: number;
  /** Whether the shader asks for that size; else it is the only one that the device has. */
  readonly subgroupSized?: boolean;
  readonly body: readonly Stmt[];
}
