/** Tensors as the manifest declares them. */
import type { Init } from '../dsl/init.ts';
import type { Node } from '../ir/index.ts';
import type { InitSpec, ParamSpec, TensorSpec } from './artefact.ts';

/** Values of tensors, by name, as files hold them. */
export type Data = Map<string, Float32Array | Int32Array | Uint32Array>;

/** How checkpoints name a parameter: its other names, and by layout the tensors that it is stored as. */
export interface Naming {
  readonly aliases?: (name: string) => readonly string[];
  readonly layouts?: Readonly<Record<string, { readonly stored: (name: string) => readonly (readonly string[])[] }>>;
}

export interface Declared {
  readonly node: Node;
  readonly init: Init;
  readonly resize?: ParamSpec['resize'];
  /** A state that the model does not know. */
  readonly scratch?: boolean;
}

export const tensorSpec = (name: string, { type }: Node): TensorSpec => ({
  name,
  shape: type.shape,
  dtype: type.dtype,
});

export function typedData(node: Node, data: Float64Array): Float32Array | Int32Array | Uint32Array {
  if (node.type.dtype === 'i32') return Int32Array.from(data);
  if (node.type.dtype === 'u32' || node.type.dtype === 'bool') return Uint32Array.from(data);
  return Float32Array.from(data);
}

/** Parameters (or states) of all entries, each once. */
export function declare(declared: readonly Declared[], data: Data, naming?: Naming): ParamSpec[] {
  const specs = new Map<string, ParamSpec>();
  for (const { node, init, resize, scratch } of declared) {
    const name = String(node.attrs.name);
    if (specs.has(name)) continue;
    const { count } = node.attrs;
    const counted = typeof count === 'number' && { count };
    specs.set(name, {
      ...tensorSpec(name, node),
      init: initSpec(init),
      ...named(name, naming),
      ...counted,
      ...(resize && { resize }),
      ...(scratch && { scratch }),
    });
    if (init.kind === 'data') data.set(`init.${name}`, typedData(node, init.data));
  }
  return [...specs.values()];
}

/** A parameter's name and, if it has any, its other names. */
export function named(
  name: string,
  { aliases, layouts = {} }: Naming = {},
): Pick<ParamSpec, 'name' | 'aliases' | 'layouts'> {
  const others = aliases?.(name) ?? [];
  const stored = Object.entries(layouts).map(([layout, { stored }]) => [layout, stored(name)] as const);
  return {
    name,
    ...(others.length && { aliases: others }),
    ...(stored.length && { layouts: Object.fromEntries(stored) }),
  };
}

const initSpec = (init: Init): InitSpec => (init.kind === 'data' ? { kind: 'file' } : init);
