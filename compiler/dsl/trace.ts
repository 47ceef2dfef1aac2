/**
 * The trace in progress: where ops of a model file land while it runs. The frontend's instrumentation calls `setPlace`
 * before each call in the user's file and `bind` after each `const x = …`, so values carry the user's names and places.
 */
import { DitcError, GraphBuilder, type Node } from '../ir/index.ts';
import { Functional, opTable } from '../ops/index.ts';
import type { Init } from './init-kind.ts';

/**
 * How a parameter takes over the values that a checkpoint has for another size, when it is asked to. `rows`: rows of the first axis by
 * their number, and the `last` of them (such as a null class) as the last ones. `grid`: positions of a square grid along one axis,
 * resampled.
 */
export type Resize = { readonly kind: 'rows'; readonly last?: number } | { readonly kind: 'grid' };

export interface DeclaredParam {
  readonly node: Node;
  readonly init: Init;
  /** Whether training leaves it as it is. */
  readonly frozen?: boolean;
  readonly resize?: Resize;
}

export class Trace {
  readonly builder = new GraphBuilder(opTable);
  readonly f = new Functional(this.builder);
  readonly inputs: Node[] = [];
  /** Of inputs that are classes, how many there are, by name. */
  readonly classes = new Map<string, number>();
  /** Inputs, parameters and states by name. */
  readonly leaves = new Map<string, Node>();
  readonly params = new Map<string, DeclaredParam>();
  readonly states = new Map<string, DeclaredParam>();
  readonly updates = new Map<string, { state: Node; node: Node }>();
  /** What parameters are read as, where that is not themselves. */
  readonly adapted = new Map<string, Node>();
  /** What stands for values of the turns of loops, and the loops whose bodies are being traced. */
  readonly placeholders = new Set<Node>();
  readonly loops: string[] = [];
  adapt: ((name: string, node: Node) => Node) | undefined;

  constructor() {
    this.builder.location = () => place;
  }
}

let active: Trace | undefined;
let place: string | undefined;

export const activeTrace = (): Trace | undefined => active;

/** The trace that DSL calls write to. */
export function currentTrace(): Trace {
  if (active) return active;
  throw new DitcError({
    code: 'no-trace',
    where: place,
    what: 'a tensor op was called outside an entry',
    fix: 'move it into the function of an entry: entries: { forward(e) { … } }',
  });
}

/** Runs `f` with `trace` receiving the ops. */
export function withTrace<T>(trace: Trace, f: () => T): T {
  const outer = active;
  active = trace;
  try {
    return f();
  } finally {
    active = outer;
    place = undefined;
  }
}

/** Instrumentation: the call about to happen is at `where`. Returns its last argument (or receiver) unchanged. */
export function setPlace<T>(where: string, value: T): T {
  place = where;
  return value;
}

export const currentPlace = (): string | undefined => place;

/** Instrumentation: `value` was bound to variable `name`. The first name sticks; leaves keep their own. */
export function bind<T>(name: string, value: T): T {
  const node = (value as { node?: Node } | null | undefined)?.node;
  if (node && typeof node.op === 'string' && node.inputs.length) node.name ??= name;
  return value;
}

/** Instrumentation: `const [a, b] = value`. */
export function bindAll<T>(names: readonly (string | null)[], value: T): T {
  if (Array.isArray(value)) names.forEach((name, i) => name && bind(name, value[i]));
  return value;
}
